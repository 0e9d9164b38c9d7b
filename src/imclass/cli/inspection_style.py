"""Style and behaviour of the page of `imclass inspect --html`, which needs JavaScript only to sort and to filter."""

STYLE = """
:root { color-scheme: light dark; --page: #fff; --card: #f4f5f7; --line: #d8dce2; --text: #1f2430; --quiet: #667080;
  --bar: #4878a8; --bad: #b3261e; --bad-card: #fbe9e7; --good: #2e7d32; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181d; --card: #1f242c; --line: #343b46; --text: #e4e7ec; --quiet: #98a2b3; --bar: #6ea2d8;
    --bad: #ff8a80; --bad-card: #3a2020; --good: #81c784; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 84rem; padding: 1.2rem 1.5rem 4rem;
  color: var(--text); background: var(--page); }
h1 { font-size: 1.6rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 2px solid var(--line);
  overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
a { color: var(--bar); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.quiet { color: var(--quiet); }
.cards, .tables { display: flex; flex-wrap: wrap; gap: .8rem; }
.card { background: var(--card); border-radius: .5rem; padding: .6rem 1rem; min-width: 7.5rem; color: inherit;
  text-decoration: none; }
.card b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; }
.card.bad { background: var(--bad-card); color: var(--bad); }
.tables { gap: .5rem 3rem; align-items: flex-start; margin-top: .6rem; }
table { border-collapse: collapse; }
caption { text-align: left; white-space: nowrap; font-weight: 600; padding: .6rem 0 .2rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: middle;
  overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.classes { width: 100%; }
.classes td:last-child { width: 60%; }
.bar { background: var(--bar); height: .7rem; border-radius: .2rem; min-width: 1px; }
.bars { width: 9rem; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--bar); }
th button::after { content: " \\2195"; color: var(--quiet); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
input[type=search] { font: inherit; padding: .25rem .6rem; margin: 0 0 .5rem; width: 20rem; max-width: 100%;
  border: 1px solid var(--line); border-radius: .3rem; background: var(--card); color: inherit; }
.strip { display: flex; gap: .3rem; overflow-x: auto; }
.strip img, .strip .none { width: 64px; height: 64px; flex: none; }
img { object-fit: contain; background: var(--card); border-radius: .2rem; display: block; }
img.tiny { image-rendering: pixelated; }
.none { display: grid; place-items: center; color: var(--bad); background: var(--bad-card); border-radius: .2rem; }
.groups { display: flex; flex-wrap: wrap; gap: .7rem; }
.group { background: var(--card); border-radius: .5rem; padding: .6rem .7rem; max-width: 100%; }
.group p { margin: 0 0 .4rem; }
.group > div { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: 0; width: 112px; }
figure img, figure .none { width: 112px; height: 112px; }
figcaption { font-size: 11px; line-height: 1.25; overflow-wrap: anywhere; margin-top: .2rem; }
.differ { color: var(--bad); font-weight: 600; }
code { background: var(--card); padding: .1rem .35rem; border-radius: .25rem; }
"""

SCRIPT = """
const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
const compare = (one, other) => isNaN(one) || isNaN(other) ? one.localeCompare(other) : one - other;
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const sign = descending ? -1 : 1;
    const sorted = [...body.rows].sort((one, other) =>
      sign * compare(value(one, head.cellIndex), value(other, head.cellIndex)));
    body.append(...sorted);
  });
}
for (const field of document.querySelectorAll("input[type=search]")) {
  field.hidden = false;
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const row of document.getElementById(field.dataset.table).tBodies[0].rows)
      row.hidden = !row.cells[1].textContent.toLowerCase().includes(wanted);
  });
}
"""
