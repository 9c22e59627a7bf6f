/* The test bench: the fields of what is chosen are shown, the others hidden, and what was scored is ordered and filtered
   here, without scoring it again. */
const form = document.getElementById("bench-form");

function unfold() {
  const chosen = form.querySelector("[name=take]:checked")?.value;
  for (const group of form.querySelectorAll("[data-take]")) group.hidden = group.dataset.take !== chosen;
  const of = form.querySelector("[name=ask-of]:checked")?.value;
  for (const group of form.querySelectorAll("[data-of]")) group.hidden = group.dataset.of !== of;
}

const field = (name) => document.getElementById(`bench-${name}`);

/* What has no value comes last in both directions; what has the same one stays as it was given. */
function compare(one, other, key, down) {
  const [a, b] = [one.values[key] ?? null, other.values[key] ?? null];
  if (a === b) return one.values.place - other.values.place;
  if (a === null || b === null) return a === null ? 1 : -1;
  return down ? b - a : a - b;
}

function order() {
  const list = field("lines");
  const items = [...list.children].map((element) => ({ element, values: JSON.parse(element.dataset.values) }));
  items.sort((one, other) => compare(one, other, field("sort").value, field("way").value === "down"));
  list.append(...items.map((item) => item.element));
}

function filter() {
  const wanted = field("filter").value;
  const items = [...field("lines").children];
  for (const item of items) item.hidden = Boolean(wanted) && !item.dataset.kinds.split(" ").includes(wanted);
  const shown = items.filter((item) => !item.hidden).length;
  field("shown").textContent = wanted ? `${shown} of ${items.length} shown` : "";
  field("none").hidden = shown > 0;
}

/* A number begins with the highest, the given order with the first, and has no other direction. */
function sorted() {
  field("way").value = field("sort").value === "place" ? "up" : "down";
  order();
  showWay();
}

function showWay() {
  if (field("way")) field("way").hidden = field("sort").value === "place";
}

function caseTarget() {
  const chosen = document.getElementById("id_case_preset").value;
  for (const hidden of document.querySelectorAll(".bench-case [name=preset]")) hidden.value = chosen;
}

const CHANGES = { "bench-sort": sorted, "bench-way": order, "bench-filter": filter, id_case_preset: caseTarget };

function show() {
  for (const box of document.querySelectorAll("[data-needs-script]")) box.hidden = false;
  unfold();
  showWay();
}

document.addEventListener("change", (event) => {
  CHANGES[event.target.id]?.();
  if (["take", "ask-of"].includes(event.target.name)) unfold();
});
/* Enter in a search would score. */
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches?.("[data-no-enter]")) event.preventDefault();
});
document.addEventListener("htmx:afterSettle", (event) => {
  show();
  const result = field("result");
  // Below a long form nobody would see that there is a result.
  if (event.target === result && result.getBoundingClientRect().top > innerHeight / 2) result.scrollIntoView();
});
show();
