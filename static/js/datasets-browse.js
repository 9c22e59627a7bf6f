/* The rows of a dataset: keys to walk through them, the view of one row, formulas. */

const rowView = document.getElementById("row");
const browse = document.querySelector("[data-browse]");

const rows = () => [...document.querySelectorAll("#rows tr[data-row]")];
const openNumber = () => rowView.querySelector("[data-row-number]")?.dataset.rowNumber;

function markOpen() {
  const number = openNumber();
  browse.classList.toggle("browse-with-row", Boolean(number));
  for (const row of rows()) row.classList.toggle("is-open", row.dataset.row === number);
}

function close() {
  if (!openNumber()) return false;
  const address = rowView.querySelector("[data-close-row]").getAttribute("href");
  const row = rows().find((each) => each.dataset.row === openNumber());
  rowView.replaceChildren();
  markOpen();
  history.replaceState(history.state, "", address);
  row?.querySelector(".row-link").focus();
  return true;
}

function focused() {
  const row = document.activeElement?.closest?.("#rows tr[data-row]");
  return row ?? rows().find((each) => each.dataset.row === openNumber());
}

/* With a row open its neighbour is opened; else the mark moves. At the end of a page it stops. */
function step(by) {
  const all = rows();
  const place = all.indexOf(focused());
  const next = all[place === -1 ? (by > 0 ? 0 : all.length - 1) : place + by];
  if (!next) {
    rowView.querySelector(by > 0 ? "[data-following]" : "[data-previous]")?.click();
    return;
  }
  const link = next.querySelector(".row-link");
  link.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  if (openNumber()) link.click();
}

const typing = (target) => target.closest?.("input, select, textarea, [contenteditable], dialog, .dropdown-menu");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && close()) return event.preventDefault();
  if (typing(event.target)) return;
  // The arrows scroll what they are in: they walk through rows only from a row.
  const onRow = event.target.closest?.("#rows tr[data-row]");
  const by = { j: 1, k: -1, ...(onRow ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
  if (by) {
    event.preventDefault();
    step(by);
  } else if (event.key === "/") {
    event.preventDefault();
    document.querySelector("[data-search]").select();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close-row]")) {
    event.preventDefault();
    close();
    return;
  }
  // Anywhere in a row opens it, but for selecting text in it.
  const row = event.target.closest("#rows tr[data-row]");
  if (row && !event.target.closest("a, button") && !String(getSelection())) row.querySelector(".row-link").click();
});

/* KaTeX writes MathML only: it needs neither fonts nor inline style, which the page's policy forbids. */
async function drawMaths(root) {
  const places = [...root.querySelectorAll("[data-maths]:not([data-drawn])")];
  if (!places.length) return;
  const { default: katex } = await import("../vendor/katex.js");
  for (const place of places) {
    place.dataset.drawn = "yes";
    try {
      const options = { output: "mathml", displayMode: Boolean(place.dataset.display), throwOnError: true, strict: false, maxExpand: 200 };
      place.innerHTML = katex.renderToString(place.dataset.maths, options);
      place.title = place.dataset.maths;
    } catch {
      // Not a formula after all, or one with a mistake: what is written stays.
      place.classList.add("maths-unreadable");
    }
  }
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "row") {
    rowView.scrollTop = 0;
    drawMaths(rowView);
  }
  markOpen();
});

markOpen();
drawMaths(rowView);
