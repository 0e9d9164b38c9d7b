// Shows one picture at a time: sends it to /explain, draws the answer, and asks again when another class is chosen.

const find = (id) => document.getElementById(id);

const SENT_AS_THEY_ARE = new Set(["image/jpeg", "image/png"]);
const SHRUNK_SIDE = 2048; // far more than any network looks at
const SHRUNK_QUALITY = 0.92;
const TINY_SIDE = 100; // pictures below this are enlarged without blur
const SECONDS_TO_WAIT = 90;
const MULTI_LABEL_THRESHOLD = 0.5;

const state = { token: "", model: null, description: null, original: null, blob: null, running: null, retry: null };

class Problem extends Error {
  constructor(message, canRetry = false) {
    super(message);
    this.canRetry = canRetry;
  }
}

// ------------------------------------------------------------------------------------------------ the server

async function ask(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  const response = await reach(path, { ...options, headers });
  if (response.ok) return response.json();
  if (response.status === 401) {
    find("token-form").hidden = false;
    throw new Problem("The server does not accept this token.");
  }
  throw new Problem(await messageOf(response), response.status >= 500);
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") throw new Problem("The server did not answer in time.", true);
    throw new Problem("The server cannot be reached. Is it still running?", true);
  }
}

async function messageOf(response) {
  try {
    const { error } = await response.json();
    return error[0].toUpperCase() + error.slice(1) + (/[.!?]$/.test(error) ? "" : ".");
  } catch {
    return `The server answered with status ${response.status}.`; // a proxy in between, which writes no JSON
  }
}

async function openModels() {
  const { models } = await ask("models");
  if (models.length === 0) throw new Problem("The server has no models.", true);
  find("model").replaceChildren(...models.map(({ name }) => new Option(name)));
  find("model-choice").hidden = models.length === 1;
  await openModel(models[0].name);
}

async function openModel(name) {
  state.model = name;
  state.description = await ask(`models/${encodeURIComponent(name)}`);
  const { network, num_layers: layers, num_classes: count, image_shape: shape, serving } = state.description;
  const [channels, height, width] = shape;
  const facts = [
    `ResNet-${layers}${network === "resnet_v2" ? " v2" : ""}`,
    count === 1 ? "1 class" : `${count} classes`,
    `${width} × ${height} pixels${channels === 1 ? ", grey" : ""}`,
    `${serving.precision} on ${serving.device}`,
  ];
  find("about").textContent = facts.join(" · ");
  const names = state.description.class_names ?? Array.from({ length: count }, (_, index) => String(index));
  find("other").replaceChildren(new Option("choose", ""), ...names.map((each, index) => new Option(each, index)));
}

// ------------------------------------------------------------------------------------------------ the picture

async function choose(file) {
  forget();
  state.original = file;
  setBusy(true);
  await show(file);
  const { blob, note } = await sendable(file);
  if (state.original !== file) return;
  find("note").textContent = note;
  state.blob = blob;
  await explain(null);
}

function forget() {
  state.running?.abort();
  state.blob = null;
  for (const id of ["overlay", "seen", "explanation", "answer", "problem"]) find(id).hidden = true;
  find("waiting").hidden = false;
  for (const id of ["note", "announcement"]) find(id).textContent = "";
}

async function show(file) {
  const photo = find("photo");
  URL.revokeObjectURL(photo.src);
  photo.src = URL.createObjectURL(file);
  let isShown = true;
  try {
    await photo.decode();
  } catch {
    isShown = false; // no picture, or none that this browser knows: the server will say what it thinks of it
  }
  if (state.original !== file) return;
  find("picture").hidden = !isShown;
  find("invitation").hidden = isShown;
  if (!isShown) return;
  const { naturalWidth: width, naturalHeight: height } = photo;
  find("picture").style.setProperty("--ratio", width / height);
  find("picture").classList.toggle("tiny", Math.max(width, height) < TINY_SIDE);
}

// What the server takes, made in the browser where the file itself is of another kind or too large.
async function sendable(file) {
  const limit = state.description?.serving.max_body_bytes ?? Infinity;
  const isKnown = SENT_AS_THEY_ARE.has(file.type);
  if (isKnown && file.size <= limit) return { blob: file, note: "" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { blob: file, note: "" };
  }
  const factor = Math.min(1, SHRUNK_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", SHRUNK_QUALITY));
  const why = isKnown ? `too large for the server (${(file.size / 2 ** 20).toFixed(1)} MiB)` : "neither JPEG nor PNG";
  return { blob, note: `This file is ${why}: a JPEG of ${canvas.width} × ${canvas.height} pixels was sent.` };
}

// ------------------------------------------------------------------------------------------------- the answer

async function explain(classIndex) {
  if (state.blob === null) return;
  state.running?.abort();
  const running = new AbortController();
  state.running = running;
  setBusy(true);
  const query = classIndex === null ? "" : `?class=${classIndex}`;
  try {
    if (!find("token-form").hidden) throw new Problem("Type the server's token first.");
    if (state.model === null) await openModels();
    const answer = await ask(`models/${encodeURIComponent(state.model)}/explain${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/x-image" },
      body: state.blob,
      signal: AbortSignal.any([running.signal, AbortSignal.timeout(SECONDS_TO_WAIT * 1000)]),
    });
    setBusy(false);
    if (classIndex === null) showClasses(answer);
    showMap(answer);
    for (const id of ["problem", "waiting"]) find(id).hidden = true;
    for (const id of ["answer", "explanation"]) find(id).hidden = false;
  } catch (error) {
    if (!running.signal.aborted) showProblem(error, () => explain(classIndex));
  }
}

function showClasses({ predictions, multi_label: isMultiLabel }) {
  find("verdict").replaceChildren(...verdict(predictions, isMultiLabel));
  find("classes").replaceChildren(...predictions.map(choiceOf));
  find("other-choice").hidden = predictions.length === state.description.num_classes;
}

function verdict(predictions, isMultiLabel) {
  const [best] = predictions;
  if (!isMultiLabel) return [`${best.class} `, element("span", percent(best.probability))];
  const found = predictions.filter(({ probability }) => probability > MULTI_LABEL_THRESHOLD);
  return found.length === 0 ? ["No class is above 50%"] : [found.map((each) => each.class).join(", ")];
}

function element(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}

function choiceOf({ class: name, index, probability }) {
  const choice = document.createElement("label");
  choice.className = "choice";
  const bar = document.createElement("i");
  bar.style.width = `${probability * 100}%`;
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "class", value: index });
  choice.append(bar, radio, element("span", name), element("b", percent(probability)));
  return choice;
}

function showMap({ activation_map: map, image, milliseconds }) {
  for (const radio of document.querySelectorAll("[name=class]")) radio.checked = Number(radio.value) === map.index;
  const isListed = document.querySelector("[name=class]:checked") !== null;
  find("other").value = isListed ? "" : map.index;
  find("explained").textContent = `${map.class} (${percent(map.probability)})`;
  const where = map.strongest
    ? `It is strongest ${place(map.strongest, image)} of the picture.`
    : "Nothing in the picture does.";
  find("where").textContent = where;
  find("overlay").src = map.overlay;
  find("overlay").alt = `Map of what speaks for ${map.class}. ${where}`;
  find("overlay").hidden = false;
  showSeen(map.seen, image);
  showTimes(milliseconds);
  find("announcement").textContent = `${map.class}, ${percent(map.probability)}. ${where}`;
}

function showSeen({ left, top, width, height }, image) {
  const isAll = width > image.width - 1 && height > image.height - 1;
  find("seen").hidden = isAll;
  if (!isAll) find("where").textContent += " The model saw only what is in the white frame.";
  const share = (value, whole) => `${(100 * value) / whole}%`;
  Object.assign(find("seen").style, {
    left: share(left, image.width),
    top: share(top, image.height),
    width: share(width, image.width),
    height: share(height, image.height),
  });
}

function showTimes({ decode, model, map, total }) {
  const entries = { Total: total, Decoding: decode, Model: model, Map: map };
  const rows = Object.entries(entries).map(([name, value]) => {
    const row = document.createElement("div");
    row.append(element("dt", name), element("dd", `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`));
    return row;
  });
  find("times").replaceChildren(...rows);
}

function place({ x, y }, { width, height }) {
  const row = ["top", "", "bottom"][Math.min(2, Math.floor((3 * y) / height))];
  const column = ["left", "", "right"][Math.min(2, Math.floor((3 * x) / width))];
  const corner = [row, column].filter(Boolean).join(" ");
  return corner ? `at the ${corner}` : "in the middle";
}

function percent(probability) {
  if (probability > 0 && probability < 0.001) return "<0.1%";
  if (probability < 1 && probability > 0.999) return ">99.9%";
  return `${(probability * 100).toFixed(1)}%`;
}

function setBusy(isBusy) {
  find("results").setAttribute("aria-busy", isBusy);
}

function showProblem(error, retry) {
  if (!(error instanceof Problem)) console.error(error);
  setBusy(false);
  state.retry = retry;
  find("waiting").hidden = true;
  find("problem").hidden = false;
  find("problem").firstElementChild.textContent = error instanceof Problem ? error.message : `A fault of this page: ${error.message}`;
  find("again").hidden = !error.canRetry;
}

// ------------------------------------------------------------------------------------------------- what users do

async function attempt(work) {
  try {
    find("problem").hidden = true;
    await work();
  } catch (error) {
    showProblem(error, () => attempt(work));
  }
}

function receive(files, whatIsMissing) {
  const file = [...files].find(({ type }) => type.startsWith("image/")) ?? files[0];
  if (file) attempt(() => choose(file));
  else showProblem(new Problem(whatIsMissing));
}

for (const id of ["file", "camera"]) {
  find(id).addEventListener("change", ({ target }) => {
    if (target.files.length > 0) receive(target.files);
    target.value = ""; // so that the same file can be chosen again
  });
}

document.addEventListener("paste", (event) => {
  if (event.target === find("token")) return;
  receive(event.clipboardData.files, "The clipboard holds no picture.");
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});

document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (relatedTarget === null) document.body.classList.remove("dropping");
});

document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  receive(event.dataTransfer.files, "What was dropped is no file. Save the picture first, then drop its file.");
});

find("classes").addEventListener("change", ({ target }) => explain(Number(target.value)));
find("other").addEventListener("change", ({ target }) => target.value !== "" && explain(Number(target.value)));
find("again").addEventListener("click", () => state.retry());

find("model").addEventListener("change", ({ target }) =>
  attempt(async () => {
    await openModel(target.value);
    await explain(null);
  }),
);

function setOpacity() {
  const { value } = find("opacity");
  find("overlay").style.opacity = value / 100;
  find("opacity").setAttribute("aria-valuetext", `${value}%`);
}
find("opacity").addEventListener("input", setOpacity);
setOpacity();

find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    state.token = find("token").value.trim();
    await openModels();
    find("token-form").hidden = true;
    await explain(null);
  });
});

if (document.body.dataset.needsToken === "true") find("token-form").hidden = false;
else attempt(openModels);
