/* The test bench: the fields of the chosen kind of answers are open, the others folded. */

const form = document.querySelector("[data-bench]");
const take = form.elements.take;

function unfold() {
  for (const group of form.querySelectorAll("[data-take]")) group.open = group.dataset.take === take.value;
}

take.addEventListener("change", unfold);
unfold();
