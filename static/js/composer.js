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
