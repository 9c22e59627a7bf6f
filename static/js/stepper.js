/* The stepper: says what is saved, loses nothing on the way out, filters cards, marks wrong fields. */
import { flushBefore } from "./app.js";

const form = document.getElementById("setup-form");
let dirty = false;
let leaving = false;
let underWay = Promise.resolve();
let arrived = () => {};

function say(state, words) {
  const mark = document.getElementById("saved-mark");
  mark.dataset.state = state;
  mark.lastElementChild.textContent = words;
}

function changed() {
  dirty = true;
  say("saving", "Saving…");
}

form.addEventListener("input", changed);
form.addEventListener("change", changed);
form.addEventListener("submit", () => {
  leaving = true;
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt !== form) return;
  dirty = false;
  underWay = new Promise((resolve) => {
    arrived = resolve;
  });
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt !== form) return;
  arrived();
  if (!event.detail.successful) dirty = true;
});
/* Not afterRequest: a request that a newer one replaces ends there, too, and is no failure. */
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    if (event.detail.elt !== form) return;
    say("failed", "Not saved: the server did not answer. Change a field to try again.");
  });
}
document.addEventListener("htmx:afterSettle", markFields);

function markFields() {
  for (const slot of document.querySelectorAll(".field-error[id^=error-]")) {
    const field = document.getElementById(slot.id.replace("error-", "field-"));
    if (field) field.setAttribute("aria-invalid", slot.textContent.trim() ? "true" : "false");
  }
}

async function save() {
  await underWay;
  if (!dirty) return;
  const reply = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { "HX-Request": "true" } });
  if (reply.ok) dirty = false;
  else say("failed", "Not saved: the server did not answer.");
}
flushBefore(save);

window.addEventListener("pagehide", () => {
  if (dirty && !leaving) navigator.sendBeacon(form.action, new FormData(form));
});

/* A filter is no setting: its input must not save the draft. */
for (const input of document.querySelectorAll("[data-filter]")) {
  for (const name of ["input", "change"]) {
    input.addEventListener(name, (event) => {
      event.stopPropagation();
      filter(input);
    });
  }
  input.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
}

function filter(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const cards = [...document.querySelectorAll(input.dataset.filter)];
  for (const card of cards) card.hidden = !words.every((word) => card.dataset.words.includes(word));
  for (const group of document.querySelectorAll(input.dataset.filterGroups || ":not(*)")) {
    group.hidden = !group.querySelector(`${input.dataset.filter}:not([hidden])`);
  }
  document.querySelector("[data-filter-none]").hidden = cards.some((card) => !card.hidden);
}

const own = document.querySelector("[data-own-model]");
if (own) {
  const text = document.getElementById("field-model-name");
  text.addEventListener("input", () => {
    own.checked = true;
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "model.choice" && event.target !== own) text.value = event.target.value;
  });
}

for (const sender of document.querySelectorAll("[data-submit-on-change]")) {
  sender.addEventListener("change", () => sender.requestSubmit());
  const label = sender.querySelector("label[tabindex]");
  label?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      label.querySelector("input").click();
    }
  });
}

markFields();
