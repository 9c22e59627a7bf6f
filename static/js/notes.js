/* Notes that are being written: the browser asks before it leaves them. */
function unsaved() {
  const form = document.querySelector("[data-notes]");
  const text = form?.querySelector("textarea");
  return Boolean(text) && ("unsaved" in form.dataset || text.value !== text.defaultValue);
}

window.addEventListener("beforeunload", (event) => {
  if (unsaved()) event.preventDefault();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-notes-leave]") || !unsaved()) return;
  if (window.confirm("Leave without saving what you wrote?")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, { capture: true });
