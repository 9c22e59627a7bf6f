/* An example question fills the form; Ctrl+Enter sends it. Listeners sit on the document: htmx replaces the form. */
document.addEventListener("click", (event) => {
  const example = event.target.closest("[data-question]");
  if (!example) return;
  const prompt = document.getElementById("id_prompt");
  prompt.value = example.dataset.question;
  document.getElementById("id_expected").value = example.dataset.reference;
  prompt.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.closest(".try-form")?.requestSubmit();
});
