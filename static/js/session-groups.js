/* The inspector: which step's, which prompt's answers are shown, and which one is marked. The server writes them; the
   address names them, as #groups?step=40&prompt=2&answer=3. */
const TYPING = "input:not([type=range]), select, textarea, [contenteditable]";

function whole(text) {
  return /^\d{1,9}$/.test(text ?? "") ? Number(text) : null;
}

export class Groups {
  constructor(root, address) {
    this.root = root;
    this.address = address;
    this.body = root.querySelector("#groups-body");
    this.slider = root.querySelector("#step-slider");
    this.typed = root.querySelector("#step-number");
    this.output = root.querySelector("#step-output");
    this.steps = [];
    this.loaded = false;
    this.readAddress();
    for (const button of root.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => this.go(button.dataset.go));
    }
    this.slider.addEventListener("input", () => (this.output.textContent = `Step ${this.steps[this.slider.value] ?? "–"}`));
    this.slider.addEventListener("change", () => this.load({ step: this.steps[this.slider.value] }));
    this.typed.addEventListener("change", () => whole(this.typed.value) !== null && this.load({ step: whole(this.typed.value) }));
    for (const name of ["order", "only"]) root.querySelector(`#${name}`).addEventListener("change", () => this.load({ prompt: this.place.prompt }));
    root.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("htmx:afterSettle", (event) => event.target === this.body && this.settled());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  get shown() {
    return this.root.offsetParent !== null;
  }

  get follow() {
    return this.place.step === null;
  }

  readAddress() {
    const [name, query] = location.hash.slice(1).split("?");
    const asked = new URLSearchParams(name === "groups" ? query : "");
    this.place = { step: whole(asked.get("step")), prompt: whole(asked.get("prompt")) || 1, answer: whole(asked.get("answer")) };
  }

  /* The address was changed by a link or by hand. */
  follows() {
    this.readAddress();
    this.load(this.place);
  }

  writeAddress() {
    const { step, prompt, answer } = this.place;
    const asked = new URLSearchParams(Object.entries({ step, prompt: step === null && prompt === 1 ? null : prompt, answer }).filter(([, value]) => value !== null));
    history.replaceState(null, "", asked.size ? `#groups?${asked}` : "#groups");
  }

  open() {
    if (!this.loaded) this.load(this.place);
    else this.writeAddress();
  }

  /* What is not named stays, but for the prompt and the answer, which belong to a step. `step` null: the newest, and from
     now on every newer one. */
  load(asked) {
    this.place = { step: this.place.step, prompt: 1, answer: null, ...asked };
    const query = new URLSearchParams({ prompt: this.place.prompt });
    for (const name of ["step", "answer"]) if (this.place[name] !== null) query.set(name, this.place[name]);
    for (const name of ["order", "only"]) query.set(name, this.root.querySelector(`#${name}`).value);
    this.focused = this.body.contains(document.activeElement);
    window.htmx.ajax("GET", `${this.address}?${query}`, { target: this.body, swap: "innerHTML" });
  }

  settled() {
    this.loaded = true;
    const view = this.body.querySelector("[data-step]");
    const known = view?.dataset ?? {};
    this.steps = view ? JSON.parse(this.body.querySelector("#stored-steps").textContent) : [];
    this.step = whole(known.step);
    this.previous = whole(known.previous);
    this.next = whole(known.next);
    this.prompts = whole(known.prompts) ?? 0;
    this.place.prompt = whole(known.prompt) ?? 1;
    if (!this.follow) this.place.step = this.step;
    this.showStep(known.last);
    this.showButtons();
    if (this.shown) this.writeAddress();
    if (this.focused) this.body.querySelector("[aria-current]")?.focus({ preventScroll: true });
    if (this.place.answer) document.getElementById(`answer-${this.place.answer}`)?.scrollIntoView({ block: "center" });
  }

  showStep(last) {
    this.slider.max = Math.max(this.steps.length - 1, 0);
    this.slider.value = Math.max(this.steps.indexOf(this.step), 0);
    this.slider.disabled = !this.steps.length;
    this.slider.setAttribute("aria-valuetext", `Step ${this.step ?? "–"}`);
    this.typed.value = this.step ?? "";
    this.output.textContent = this.steps.length ? `Step ${this.step} of ${last}` : "Step –";
    const marks = this.root.querySelector("#step-marks");
    // More than these would be one line.
    const every = Math.ceil(this.steps.length / 60);
    marks.replaceChildren(...this.steps.map((step, place) => new Option(String(step), place)).filter((_, place) => place % every === 0));
  }

  showButtons() {
    this.root.querySelector("[data-go=previous]").disabled = this.previous === null;
    this.root.querySelector("[data-go=next]").disabled = this.next === null;
    this.root.querySelector("[data-go=latest]").setAttribute("aria-pressed", String(this.follow));
  }

  go(where) {
    if (where === "latest") this.load({ step: null });
    else if (this[where] !== null) this.load({ step: this[where] });
  }

  click(event) {
    const prompt = event.target.closest("[data-prompt-number]");
    const found = event.target.closest("[data-found-step]");
    if (prompt) this.load({ step: this.step, prompt: Number(prompt.dataset.promptNumber) });
    else if (found) {
      const { foundStep, foundPrompt, foundAnswer } = found.dataset;
      this.root.querySelector("#only").value = "";
      this.load({ step: Number(foundStep), prompt: Number(foundPrompt), answer: Number(foundAnswer) });
    }
  }

  key(event) {
    if (!this.shown || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.target.closest(`${TYPING}, [role=tab]`)) return;
    const steps = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
    const prompts = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    // In a text that scrolls, up and down are its own.
    if (!steps && (!prompts || !this.prompts || event.target.closest(".answer-text"))) return;
    event.preventDefault();
    if (steps) return this.go(steps);
    const prompt = Math.min(Math.max(this.place.prompt + prompts, 1), this.prompts);
    if (prompt !== this.place.prompt) this.load({ step: this.step, prompt });
  }

  /* New completions came: shown at once if the newest are wanted, else only reachable. */
  arrived(step) {
    if (!this.loaded || !this.shown) this.loaded = false;
    else if (this.follow) this.loadSoon();
    else if (step > (this.steps.at(-1) ?? -1)) {
      this.steps.push(step);
      this.next ??= step;
      this.showStep(step);
      this.showButtons();
    }
  }

  loadSoon() {
    if (this.waiting) return;
    this.waiting = setTimeout(() => {
      this.waiting = null;
      if (this.follow && this.shown) this.load({ prompt: this.place.prompt });
    }, 1000);
  }
}
