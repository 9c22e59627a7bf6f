/* The form of a check: a prompt template fills the system prompt, which can still be changed. */
const choice = document.querySelector("[data-fills]");
choice?.addEventListener("change", () => {
  if (choice.selectedIndex > 0) document.getElementById(choice.dataset.fills).value = choice.value;
});
