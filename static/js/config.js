/* The Config step: alpha follows the rank, and the algorithm and the settings that it names follow each other. */
const follow = document.getElementById("follow");
const algorithms = JSON.parse(follow.dataset.algorithms);
const alphaOfRank = Number(follow.dataset.alphaOfRank);
const field = (name) => document.getElementById(`field-${name}`);
const rank = field("model-lora_rank");
const alpha = field("model-lora_alpha");
const algorithm = field("grpo-algorithm");
const linked = Object.keys(algorithms.grpo);
const select = (key) => field(`grpo-${key}`);

const inStep = () => Number(alpha.value) === alphaOfRank * Number(rank.value);
let follows = inStep();

rank.addEventListener("input", () => {
  if (follows && /^[1-9]\d*$/.test(rank.value.trim())) alpha.value = alphaOfRank * Number(rank.value);
});
alpha.addEventListener("input", () => {
  follows = inStep();
});

algorithm.addEventListener("change", () => {
  for (const [key, value] of Object.entries(algorithms[algorithm.value] ?? {})) select(key).value = value;
});
for (const key of linked) {
  select(key).addEventListener("change", () => {
    const named = Object.keys(algorithms).find((name) => linked.every((each) => algorithms[name][each] === select(each).value));
    algorithm.value = named ?? "custom";
  });
}

/* A value of one's own unmarks its preset. */
document.addEventListener("htmx:afterSettle", () => {
  const chosen = document.getElementById("chosen-presets").dataset.chosen.split(" ");
  for (const button of document.querySelectorAll("#presets .preset")) {
    button.setAttribute("aria-pressed", String(chosen.includes(button.value)));
  }
});

/* From here on the server takes what is posted as it is. */
follow.value = "browser";
