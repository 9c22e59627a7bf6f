/* The inspector: which step's completions are shown. The server writes them. */
const TYPING = "input:not([type=range]), select, textarea";

export class Groups {
  constructor(root, address) {
    this.root = root;
    this.address = address;
    this.body = root.querySelector("#groups-body");
    this.slider = root.querySelector("#step-slider");
    this.output = root.querySelector("#step-output");
    this.order = root.querySelector("#order");
    this.follow = true;
    this.loaded = false;
    for (const button of root.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => this.go(button.dataset.go));
    }
    this.slider.addEventListener("input", () => this.preview());
    this.slider.addEventListener("change", () => this.load(this.slider.value));
    this.order.addEventListener("change", () => this.load(this.follow ? null : this.step));
    this.body.addEventListener("htmx:afterSettle", (event) => event.target === this.body && this.settled());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  get shown() {
    return this.root.offsetParent !== null;
  }

  open() {
    if (!this.loaded) this.load(null);
  }

  preview() {
    this.output.textContent = `Step ${this.slider.value}`;
  }

  /* `step` null: the newest, and from now on every newer one. */
  load(step) {
    this.follow = step === null;
    const query = new URLSearchParams({ order: this.order.value });
    if (step !== null) query.set("step", step);
    window.htmx.ajax("GET", `${this.address}?${query}`, { target: this.body, swap: "innerHTML" });
  }

  settled() {
    this.loaded = true;
    const place = this.body.querySelector("[data-step]");
    const known = place?.dataset ?? {};
    this.step = known.step;
    this.previous = known.previous;
    this.next = known.next;
    this.setRange(known.first ?? 1, known.last ?? 1);
    this.slider.value = known.step ?? 1;
    this.slider.disabled = !place;
    this.output.textContent = place ? `Step ${known.step} of ${known.last}` : "Step –";
    this.showButtons();
  }

  setRange(first, last) {
    this.slider.min = first;
    this.slider.max = last;
  }

  showButtons() {
    this.root.querySelector("[data-go=previous]").disabled = !this.previous;
    this.root.querySelector("[data-go=next]").disabled = !this.next;
    this.root.querySelector("[data-go=latest]").setAttribute("aria-pressed", String(this.follow));
  }

  go(where) {
    if (where === "latest") this.load(null);
    else if (this[where]) this.load(this[where]);
  }

  key(event) {
    if (!this.shown || event.altKey || event.ctrlKey || event.metaKey || event.target.closest(`${TYPING}, [role=tab]`)) return;
    const where = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
    if (!where) return;
    event.preventDefault();
    this.go(where);
  }

  /* New completions came: shown at once if the newest are wanted, else only reachable. */
  arrived(step) {
    if (!this.loaded || !this.shown) this.loaded = false;
    else if (this.follow) this.loadSoon();
    else {
      this.slider.max = step;
      this.next ||= String(step);
      this.showButtons();
    }
  }

  loadSoon() {
    if (this.waiting) return;
    this.waiting = setTimeout(() => {
      this.waiting = null;
      if (this.follow && this.shown) this.load(null);
    }, 1000);
  }
}
