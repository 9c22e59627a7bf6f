/* global htmx */
/* The composer: keeps unsaved changes from getting lost, searches the catalogue, and moves parts by keyboard. */
const form = document.getElementById("composer-form");
const unsaved = document.getElementById("unsaved");
let dirty = false;
let leaving = false;

function changed() {
  dirty = true;
  unsaved.hidden = false;
}

/* A row to score is no part of the reward. */
function isReward(field) {
  return field.name && !field.name.startsWith("sample-") && !field.hasAttribute("data-search");
}

for (const name of ["input", "change"]) {
  form.addEventListener(name, (event) => isReward(event.target) && changed());
}
form.addEventListener("submit", () => {
  leaving = true;
});
window.addEventListener("beforeunload", (event) => {
  if (dirty && !leaving) event.preventDefault();
});
/* A page that comes back from the browser's memory has not left after all. */
window.addEventListener("pageshow", () => {
  leaving = false;
});
document.addEventListener("htmx:afterSettle", () => {
  if (document.querySelector("#parts [data-changed]")) changed();
});
if ("dirty" in form.dataset) changed();

/* Alt and an arrow move the part in which the focus is; it follows its part. */
form.addEventListener("keydown", (event) => {
  if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  const way = event.key === "ArrowUp" ? "up" : "down";
  const part = event.target.closest("[data-part]");
  const button = part?.querySelector(`[data-move=${way}]`);
  if (!button) return;
  event.preventDefault();
  if (button.disabled) return;
  button.focus();
  button.click();
});

/* A part that reached the end leaves its button disabled, and the focus would be lost. The live score is asked for
   meanwhile, too: only the answer to the move itself gives the focus back. */
let moved = "";
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.matches?.("[data-move]")) moved = event.detail.elt.closest("[data-part]").id;
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "parts") return;
  const part = moved && document.getElementById(moved);
  moved = "";
  if (part && document.activeElement === document.body) part.querySelector("[data-move]:not([disabled])")?.focus();
});

/* What changes the parts or the row is asked for one at a time: an answer is made from what was sent, and would undo
   what another one did. What is typed while it is on its way is put into the answer. */
const PIECES = ["parts", "sample"];
const waiting = [];
let asked = null;

function fieldsOf(piece) {
  return [...document.getElementById(piece).querySelectorAll("input:not([type=hidden]), select, textarea")];
}

function valueOf(field) {
  return field.type === "checkbox" ? field.checked : field.value;
}

function later(button) {
  const name = button.id ? `#${CSS.escape(button.id)}` : `[name=do][value="${CSS.escape(button.value)}"]`;
  waiting.push({ name, event: button.matches("select") ? "change" : "click" });
}

function next() {
  asked = null;
  while (!asked && waiting.length) {
    const { name, event } = waiting.shift();
    const found = document.querySelector(name);
    if (found && !found.disabled) htmx.trigger(found, event);
  }
}

document.addEventListener("htmx:beforeRequest", (event) => {
  const piece = event.detail.target?.id;
  if (!PIECES.includes(piece)) return;
  if (asked) {
    event.preventDefault();
    later(event.detail.elt);
    return;
  }
  asked = { piece, sent: new Map(fieldsOf(piece).map((field) => [field.name, valueOf(field)])) };
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== asked?.piece) return;
  const typed = fieldsOf(asked.piece).filter((field) => valueOf(field) !== asked.sent.get(field.name));
  asked.typed = new Map(typed.map((field) => [field.name, { value: valueOf(field), caret: caretOf(field) }]));
  asked.open = [...event.detail.target.querySelectorAll("details[id][open]")].map((each) => each.id);
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== asked?.piece) return;
  const fields = new Map(fieldsOf(asked.piece).map((field) => [field.name, field]));
  for (const [name, typed] of asked.typed) {
    if (fields.has(name)) putBack(fields.get(name), typed);
    else keepForUndo(name, typed.value);
  }
  for (const id of asked.open) document.getElementById(id)?.setAttribute("open", "");
});

function caretOf(field) {
  return document.activeElement === field && field.selectionStart !== null && [field.selectionStart, field.selectionEnd];
}

function putBack(field, { value, caret }) {
  if (field.type === "checkbox") field.checked = value;
  else field.value = value;
  if (caret && document.activeElement === field) field.setSelectionRange(...caret);
}

/* The part was removed while somebody typed in it. */
function keepForUndo(name, value) {
  const box = form.elements.namedItem("removed");
  const removed = box?.value ? JSON.parse(box.value) : null;
  if (!removed || !name.startsWith(`${removed.key}-`)) return;
  if (value === false) delete removed.values[name];
  else removed.values[name] = value === true ? "on" : value;
  box.value = JSON.stringify(removed);
}

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.target?.id === asked?.piece && !event.detail.successful) next();
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === asked?.piece) next();
});

/* “Score now” says more than what is asked for by itself: an older change, whose turn comes late, must not replace it. */
let scoredSince = false;
for (const name of ["input", "change", "composed"]) {
  document.addEventListener(name, () => {
    scoredSince = false;
  });
}
document.addEventListener("htmx:confirm", (event) => {
  if (event.detail.elt.value === "score") scoredSince = true;
  if (event.detail.elt.id === "live" && scoredSince) event.preventDefault();
});

/* On a narrow page the live score is a bar below the page's head, which unfolds. */
const bar = document.querySelector("[data-score-bar]");
const fold = bar.querySelector("[data-fold]");
bar.classList.add("is-bar");
fold.addEventListener("click", () => {
  const open = bar.classList.toggle("is-open");
  fold.setAttribute("aria-expanded", open);
});
bar.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !bar.classList.contains("is-open") || !fold.offsetParent) return;
  fold.click();
  fold.focus();
});

const search = document.getElementById("catalogue-search");
for (const box of document.querySelectorAll("[data-needs-script]")) box.hidden = false;
/* Its input is neither a change of the reward nor worth a new score. */
for (const name of ["input", "change"]) {
  search.addEventListener(name, (event) => {
    event.stopPropagation();
    filter();
  });
}
search.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const entries = [...document.querySelectorAll(search.dataset.search)];
  for (const entry of entries) entry.hidden = !words.every((word) => entry.dataset.words.includes(word));
  for (const group of document.querySelectorAll("[data-function-group]")) {
    group.hidden = !group.querySelector("[data-function]:not([hidden])");
  }
  document.querySelector("[data-search-none]").hidden = entries.some((entry) => !entry.hidden);
}
