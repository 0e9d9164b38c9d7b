// Tables that sort and filter, charts that say their values, and the confusion matrix.

const element = id => document.getElementById(id);

// ---------------------------------------------------------------------------------------------------- tables

const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
const compare = (one, other) => isNaN(one) || isNaN(other) ? one.localeCompare(other) : one - other;

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sign = descending ? -1 : 1, body = table.tBodies[0];
      body.append(...[...body.rows].sort(
        (one, other) => sign * compare(valueOf(one, head.cellIndex), valueOf(other, head.cellIndex))));
    });
  }
}

function makeFilter(field) {
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const row of element(field.dataset.table).tBodies[0].rows)
      row.hidden = !row.cells[1].textContent.toLowerCase().includes(wanted);
  });
}

// ---------------------------------------------------------------------------------------------------- charts

const tip = element("tip");

function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 14 + width > innerWidth ? Math.max(4, x - 14 - width) : x + 14;
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.min(y + 12, innerHeight - height - 4)}px`;
}

function makeChart(chart) {
  const points = JSON.parse(chart.dataset.points);
  if (!points.length) return;
  const space = "http://www.w3.org/2000/svg";
  const cursor = document.createElementNS(space, "g");
  chart.append(cursor);
  let at = -1;

  const mark = number => {
    at = Math.max(0, Math.min(points.length - 1, number));
    const point = points[at], line = document.createElementNS(space, "line");
    for (const [name, value] of Object.entries({ class: "cursor", x1: point.x, x2: point.x, y1: 14, y2: 254 }))
      line.setAttribute(name, value);
    const dots = point.values.map(([y, series]) => {
      const dot = document.createElementNS(space, "circle");
      for (const [name, value] of Object.entries({ class: `dot s${series}`, cx: point.x, cy: y, r: 4 }))
        dot.setAttribute(name, value);
      return dot;
    });
    cursor.replaceChildren(line, ...dots);
    return [point.at, ...point.values.map(value => value[2])].join("\n");
  };
  const hide = () => { cursor.replaceChildren(); tip.hidden = true; at = -1; };
  const placed = () => chart.getBoundingClientRect();

  chart.addEventListener("pointermove", event => {
    const box = placed(), x = (event.clientX - box.left) * 560 / box.width;
    let nearest = 0;
    points.forEach((point, number) => {
      if (Math.abs(point.x - x) < Math.abs(points[nearest].x - x)) nearest = number;
    });
    showTip(mark(nearest), event.clientX, event.clientY);
  });
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", event => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -points.length, End: points.length }[event.key];
    if (event.key === "Escape") hide();
    if (steps === undefined) return;
    event.preventDefault();
    const words = mark(at < 0 && steps > 0 ? (steps === 1 ? 0 : points.length) : at + steps), box = placed();
    showTip(words, box.left + points[at].x * box.width / 560, box.top + box.height / 3);
  });
}

// ---------------------------------------------------------------------------------------------------- matrix

const MARGIN = 0.17;  // of the canvas, for names

function makeMatrix(canvas) {
  const { names, order, totals, cells } = JSON.parse(element("matrix-data").textContent);
  const classes = names.length, counts = new Map(cells.map(([row, column, count]) => [row * classes + column, count]));
  const similar = order, numbers = names.map((_, index) => index);
  let shown = similar, places = placesOf(shown);
  let left = 0, top = 0, size = classes, chosen = null, drag = null;
  const context = canvas.getContext("2d"), said = element("cell");

  function placesOf(list) {
    const found = new Array(list.length);
    list.forEach((index, place) => { found[index] = place; });
    return found;
  }
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function draw() {
    const whole = Math.round(canvas.clientWidth * devicePixelRatio), margin = Math.round(whole * MARGIN);
    const side = whole - margin;
    if (canvas.width !== whole) canvas.width = canvas.height = whole;
    const style = getComputedStyle(document.documentElement);
    const [right, wrong, text, line] = ["--right", "--wrong", "--text", "--line"].map(name => style.getPropertyValue(name));
    const cell = side / size;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, whole, whole);
    if (cell >= 11 * devicePixelRatio) drawNames(cell, margin, side, text);
    context.setTransform(1, 0, 0, 1, margin, margin);
    context.save();
    context.beginPath();
    context.rect(0, 0, side, side);
    context.clip();
    if (cell > 10) {
      context.strokeStyle = line;
      context.lineWidth = 1;
      context.beginPath();
      for (let place = Math.ceil(left); place < left + size; place++)
        { context.moveTo((place - left) * cell, 0); context.lineTo((place - left) * cell, side); }
      for (let place = Math.ceil(top); place < top + size; place++)
        { context.moveTo(0, (place - top) * cell); context.lineTo(side, (place - top) * cell); }
      context.stroke();
    }
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [row, column, count] of cells) {
      const x = (places[column] - left) * cell, y = (places[row] - top) * cell;
      if (x + cell < 0 || y + cell < 0 || x > side || y > side) continue;
      const share = count / totals[row];
      // The root makes rare confusions visible beside common ones.
      context.fillStyle = `rgba(${row === column ? right : wrong}, ${0.12 + 0.88 * Math.sqrt(share)})`;
      const drawn = Math.max(cell - (cell > 10 ? 1 : 0), devicePixelRatio);
      context.fillRect(x, y, drawn, drawn);
      if (cell > 26 * devicePixelRatio) {
        context.fillStyle = text;
        context.font = `${Math.min(cell / 3, 14 * devicePixelRatio)}px system-ui, sans-serif`;
        context.fillText(count, x + cell / 2, y + cell / 2);
      }
    }
    if (chosen) {
      context.strokeStyle = text;
      context.lineWidth = 2 * devicePixelRatio;
      context.strokeRect((chosen[1] - left) * cell, (chosen[0] - top) * cell, Math.max(cell, 4), Math.max(cell, 4));
    }
    context.restore();
  }
  function drawNames(cell, margin, side, colour) {
    const room = margin - 6 * devicePixelRatio;
    context.fillStyle = colour;
    context.font = `${Math.min(cell * 0.8, 11 * devicePixelRatio)}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (const [start, turned] of [[top, false], [left, true]]) {
      for (let place = Math.floor(start); place < Math.min(start + size, classes); place++) {
        const middle = (place + 0.5 - start) * cell;
        if (middle < 0 || middle > side) continue;
        context.setTransform(1, 0, 0, 1, turned ? margin + middle : room, turned ? room : margin + middle);
        if (turned) context.rotate(-Math.PI / 2);
        context.textAlign = turned ? "left" : "right";
        context.fillText(names[shown[place]], 0, 0, room);
      }
    }
  }
  function say() {
    const row = shown[chosen[0]], column = shown[chosen[1]], count = counts.get(row * classes + column) ?? 0;
    const share = totals[row] ? `, ${(100 * count / totals[row]).toFixed(1)}% of its ${totals[row]}` : "";
    said.textContent = row === column
      ? `${names[row]}: ${count} right${share}`
      : `${names[row]} taken for ${names[column]}: ${count}${share}`;
  }
  function choose(row, column) {
    chosen = [clamp(row, 0, classes - 1), clamp(column, 0, classes - 1)];
    say();
    draw();
  }
  function zoom(factor, x = left + size / 2, y = top + size / 2) {
    const next = clamp(size * factor, Math.min(4, classes), classes);
    left = clamp(x - (x - left) * next / size, 0, classes - next);
    top = clamp(y - (y - top) * next / size, 0, classes - next);
    size = next;
    draw();
  }
  const under = event => {
    const box = canvas.getBoundingClientRect();
    const share = (at, length) => (at / length - MARGIN) / (1 - MARGIN) * size;
    return [left + share(event.clientX - box.left, box.width), top + share(event.clientY - box.top, box.height)];
  };

  canvas.addEventListener("pointermove", event => {
    const [x, y] = under(event);
    if (drag) {
      left = clamp(left + drag[0] - x, 0, classes - size);
      top = clamp(top + drag[1] - y, 0, classes - size);
    }
    choose(Math.floor(y), Math.floor(x));
  });
  canvas.addEventListener("pointerdown", event => { drag = under(event); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, ...under(event));
  }, { passive: false });
  canvas.addEventListener("keydown", event => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step) {
      event.preventDefault();
      const [row, column] = chosen ?? [0, 0];
      choose(row + (chosen ? step[0] : 0), column + (chosen ? step[1] : 0));
      left = clamp(left, chosen[1] + 1 - size, chosen[1]);
      top = clamp(top, chosen[0] + 1 - size, chosen[0]);
      draw();
    }
    const [row, column] = chosen ?? [top + size / 2, left + size / 2];
    if (event.key === "+" || event.key === "=") zoom(0.7, column + 0.5, row + 0.5);
    if (event.key === "-") zoom(1.4, column + 0.5, row + 0.5);
  });
  for (const button of document.querySelectorAll("[data-zoom]"))
    button.addEventListener("click", () => zoom({ in: 0.6, out: 1.7, all: classes }[button.dataset.zoom]));
  element("by-number").addEventListener("change", event => {
    shown = event.target.checked ? numbers : similar;
    places = placesOf(shown);
    chosen = null;
    draw();
  });
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("input[type=search]").forEach(makeFilter);
document.querySelectorAll(".chart").forEach(makeChart);
if (element("matrix")) makeMatrix(element("matrix"));
