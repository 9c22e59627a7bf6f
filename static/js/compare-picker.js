/* The arrows go from the search to the list of sessions and through it. */
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

document.addEventListener("keydown", (event) => {
  const picker = event.target.closest("[data-picker]");
  if (!picker || !STEPS[event.key]) return;
  const places = [picker.querySelector("input"), ...picker.querySelectorAll(".picker-choice")];
  const next = places[places.indexOf(event.target) + STEPS[event.key]];
  if (!next) return;
  event.preventDefault();
  next.focus();
});

/* Enter in the search takes the only session that is left. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("[data-picker] input")) return;
  event.preventDefault();
  const left = event.target.closest("[data-picker]").querySelectorAll(".picker-choice");
  if (left.length === 1) left[0].click();
});

/* What was typed before htmx listened, or was restored by the browser, is searched for, too. */
document.addEventListener("DOMContentLoaded", () => {
  const typed = [...document.querySelectorAll("[data-picker] input")].filter((input) => input.value);
  for (const input of typed) input.dispatchEvent(new Event("input", { bubbles: true }));
});
