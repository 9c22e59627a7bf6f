/* Choosing several sessions of the list: boxes, a range with Shift, and what the chosen ones can be sent to. */
const COMPARED = { least: 2, most: 6 };

const BOX = '.session-table input[type="checkbox"][name="session"]';
let last = null;

const bar = () => document.getElementById("several");
const boxes = () => [...document.querySelectorAll(BOX)];
const chosen = () => boxes().filter((box) => box.checked);

function show() {
  const form = bar();
  if (!form) return;
  const count = chosen().length;
  form.hidden = !count;
  form.querySelector("[data-count]").textContent = count;
  const compare = form.querySelector("[data-compare-chosen]");
  compare.disabled = count < COMPARED.least || count > COMPARED.most;
  compare.title = compare.disabled ? `Choose ${COMPARED.least} to ${COMPARED.most} sessions` : "";
  const all = document.querySelector("[data-all]");
  all.checked = count > 0 && count === boxes().length;
  all.indeterminate = count > 0 && !all.checked;
}

function choose(box, event) {
  const row = boxes();
  if (event.shiftKey && last && row.includes(last)) {
    const [from, to] = [row.indexOf(last), row.indexOf(box)].sort((a, b) => a - b);
    for (const between of row.slice(from, to + 1)) between.checked = box.checked;
  }
  last = box;
}

document.addEventListener("click", (event) => {
  const box = event.target.closest(BOX);
  if (box) choose(box, event);
  const all = event.target.closest("[data-all]");
  if (all) for (const each of boxes()) each.checked = all.checked;
  if (event.target.closest("[data-clear]")) for (const each of boxes()) each.checked = false;
  if (event.target.closest("[data-compare-chosen]")) {
    const query = new URLSearchParams(chosen().map((each) => ["session", each.value]));
    location.assign(`${bar().dataset.compare}?${query}`);
  }
  show();
});

/* Enter in the field of tags adds them; the first button of the form would archive. */
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches('#several input[name="tags"]')) {
    event.preventDefault();
    bar().requestSubmit(bar().querySelector('[value="tag"]'));
  }
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    document.querySelector("[data-search]")?.focus();
  }
});

document.addEventListener("htmx:afterSettle", show);
// A browser that comes back to the page keeps the ticks.
show();
