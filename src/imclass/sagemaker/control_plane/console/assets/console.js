// Asks for the page again while something on it changes, follows the log, and sends pictures to an endpoint.

const ANSWER_SECONDS = 15;
const LOG_SECONDS = 1;
const MOST_LINES = 2000;
const LONGEST_PAUSE_SECONDS = 30;
const LARGEST_BODY = 6 * 2 ** 20; // of InvokeEndpoint
const SHRUNK_SIDE = 2048;
const SHRUNK_QUALITY = 0.92;
const MOST_CLASSES = 10;

const find = (id) => document.getElementById(id);
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const online = () => new Promise((resolve) => addEventListener("online", resolve, { once: true }));

function element(tag, text, attributes = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...attributes });
}

// Nothing is asked for while nobody looks.
async function visible() {
  while (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

async function ask(address, options = {}) {
  return fetch(address, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_SECONDS * 1000), ...options });
}

// Repeats work until it says that it is done; when the server cannot be reached, ever more slowly, and at once when the
// network is back.
async function repeat(work, seconds) {
  let failures = 0;
  for (;;) {
    await visible();
    try {
      if (await work()) return;
      failures = 0;
      find("connection").textContent = "";
    } catch (error) {
      if (!["TypeError", "TimeoutError", "AbortError"].includes(error.name)) throw error;
      failures += 1;
      find("connection").textContent = "The server cannot be reached. What you see is from before; it is asked again.";
    }
    const due = pause(Math.min(LONGEST_PAUSE_SECONDS, seconds() * 2 ** failures));
    await (failures ? Promise.race([due, online()]) : due);
  }
}

// ------------------------------------------------------------------------------------------------ the page

const refreshSeconds = () => Number(document.body.dataset.refreshSeconds);

async function refresh() {
  const response = await ask(location.href, { headers: { Accept: "text/html" } });
  if (response.status === 401) return location.reload(); // the session is over: the server asks for the token
  if (response.status >= 500) throw new TypeError("the server has failed");
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!response.ok) {
    find("connection").textContent = fresh.querySelector(".problem")?.textContent ?? `Status ${response.status}`;
    return true;
  }
  for (const old of document.querySelectorAll("[data-live]")) replace(old, fresh.getElementById(old.id));
  followLogs();
  document.body.dataset.refreshSeconds = fresh.body.dataset.refreshSeconds ?? "";
  return !refreshSeconds();
}

// What somebody is using stays as it is, until they are done with it.
function replace(old, fresh) {
  if (fresh === null || old.isEqualNode(fresh)) return;
  const isUsed = old.contains(document.activeElement) || old.querySelector("details[open]") !== null;
  if (!isUsed || !old.firstElementChild) old.replaceWith(document.adoptNode(fresh));
  else if (old.tagName === "TBODY") replaceKeepingFocus(old, fresh);
}

function replaceKeepingFocus(old, fresh) {
  const { href } = document.activeElement;
  old.replaceWith(document.adoptNode(fresh));
  [...fresh.querySelectorAll("a")].find((link) => link.href === href)?.focus();
}

// ------------------------------------------------------------------------------------------------- the log

const followed = new WeakSet();

function followLogs() {
  for (const log of document.querySelectorAll("[data-log]")) {
    if (followed.has(log)) continue;
    followed.add(log);
    log.scrollTop = log.scrollHeight;
    if (refreshSeconds()) repeat(() => addLines(log), () => LOG_SECONDS);
  }
}

async function addLines(log) {
  const isLast = !refreshSeconds(); // known before the lines are asked for, so that none can be missed
  const response = await ask(`${log.dataset.log}&after=${log.dataset.after}`, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new TypeError(`status ${response.status}`);
  const { lines, after, isCut } = await response.json();
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(...lines.map(lineOf));
  const excess = Math.max(0, log.childElementCount - MOST_LINES);
  for (let number = 0; number < excess; number += 1) log.firstElementChild.remove();
  if (isCut || excess) log.parentElement.querySelector(".cut").hidden = false;
  if (isAtEnd && lines.length) log.scrollTop = log.scrollHeight;
  log.dataset.after = after;
  return isLast && lines.length === 0;
}

function lineOf([milliseconds, message]) {
  const line = document.createElement("div");
  const text = new Date(milliseconds).toISOString();
  line.append(element("time", text.slice(11, 19), { dateTime: text }), ` ${message.replaceAll("#011", "\t")}`);
  return line;
}

// ---------------------------------------------------------------------------------------------- an endpoint

let asking = null;

async function tryPicture(file) {
  const { address, proof } = find("try").dataset;
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  showPreview(file);
  find("try-verdict").textContent = "Asking the endpoint.";
  find("try-problem").hidden = true;
  find("try-bars").hidden = true;
  try {
    const body = await sendable(file);
    const begun = performance.now();
    const headers = {
      "Content-Type": "application/x-image",
      Accept: "application/json;verbose",
      "X-Console-Proof": proof,
      ...(find("variant").value && { "X-Amzn-SageMaker-Target-Variant": find("variant").value }),
    };
    const signal = AbortSignal.any([mine.signal, AbortSignal.timeout(70_000)]); // InvokeEndpoint has 60 seconds
    const response = await fetch(address, { method: "POST", headers, body, signal });
    const answer = await response.json();
    const milliseconds = Math.round(performance.now() - begun);
    if (!response.ok) throw new Error(answer.Message ?? answer.error ?? `Status ${response.status}`);
    showAnswer(answer, milliseconds, response.headers.get("x-amzn-invoked-production-variant"));
  } catch (error) {
    if (mine.signal.aborted) return;
    find("try-verdict").textContent = "";
    find("try-problem").hidden = false;
    find("try-problem").textContent = wordsOf(error);
  }
}

function wordsOf(error) {
  if (error.name === "TimeoutError") return "The endpoint has not answered in time.";
  if (error.name === "SyntaxError") return "The endpoint has answered with something that is not JSON.";
  return error.name === "TypeError" ? "The server cannot be reached." : error.message;
}

function showPreview(file) {
  URL.revokeObjectURL(find("preview").src);
  find("preview").src = URL.createObjectURL(file);
  find("preview").hidden = !file.type.startsWith("image/");
}

// What endpoints take, made in the browser where the file itself is of another kind or too large.
async function sendable(file) {
  const isKnown = ["image/jpeg", "image/png"].includes(file.type);
  if ((isKnown && file.size <= LARGEST_BODY) || !file.type.startsWith("image/")) return file;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file; // the endpoint will say what it thinks of it
  }
  const factor = Math.min(1, SHRUNK_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", SHRUNK_QUALITY));
}

function showAnswer(answer, milliseconds, variant) {
  const probabilities = answer.probabilities ?? answer;
  if (!Array.isArray(probabilities) || !probabilities.every(Number.isFinite)) throw new Error("The answer is not a list of probabilities.");
  const named = probabilities.map((value, index) => ({ name: answer.labels?.[index] ?? `class ${index}`, value }));
  const likeliest = named.sort((one, other) => other.value - one.value).slice(0, MOST_CLASSES);
  const verdict = answer.predicted_labels?.join(", ") || (answer.predicted_labels ? "No class is above 50%" : likeliest[0].name);
  find("try-verdict").replaceChildren(`${verdict} `, element("span", `${variant ?? ""} in ${milliseconds} ms`));
  find("try-bars").tBodies[0].replaceChildren(...likeliest.map(barOf));
  find("try-bars").hidden = false;
}

function barOf({ name, value }) {
  const row = document.createElement("tr");
  const bar = document.createElement("td");
  bar.append(element("meter", "", { max: 1, value, ariaLabel: name }));
  row.append(element("th", name, { scope: "row" }), bar, element("td", `${(100 * value).toFixed(1)}%`, { className: "number" }));
  return row;
}

document.addEventListener("change", ({ target }) => {
  if (target.id !== "picture" || target.files.length === 0) return;
  tryPicture(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});

document.addEventListener("paste", ({ clipboardData }) => {
  if (find("try") && clipboardData.files.length) tryPicture(clipboardData.files[0]);
});

document.addEventListener("dragover", (event) => {
  if (!find("try")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});

document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (relatedTarget === null) document.body.classList.remove("dropping");
});

document.addEventListener("drop", (event) => {
  if (!find("try")) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length) tryPicture(event.dataTransfer.files[0]);
});

followLogs();
if (refreshSeconds()) pause(refreshSeconds()).then(() => repeat(refresh, () => refreshSeconds() || 1));
