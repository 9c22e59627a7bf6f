/* The bar above a board's charts: zoom, pan, smoothing, marks. */
const STRONGEST = 0.99;
const KEPT = "loracraft-smoothing";

/* The slider is fine where it matters: its upper half is 0.9 to 0.99. */
export function strengthOf(slider) {
  return slider === 0 ? 0 : Math.min(STRONGEST, 1 - 10 ** (-2 * slider));
}

export class Toolbar {
  constructor(bar, board, onSmoothing) {
    this.bar = bar;
    this.board = board;
    this.state = bar.querySelector("[data-zoom-state]");
    this.hint = this.state.textContent;
    this.smoothing = bar.querySelector("[data-smoothing]");
    for (const button of bar.querySelectorAll("[data-move]")) button.addEventListener("click", () => this.move(button.dataset.move));
    bar.querySelector("[data-marks]")?.addEventListener("change", (event) => board.showMarks(event.target.checked));
    this.smoothing?.addEventListener("input", () => onSmoothing(Number(this.smoothing.value)));
    board.onChange(() => this.show());
    this.show();
  }

  move(where) {
    const { board } = this;
    const moves = { left: () => board.pan(-0.25), right: () => board.pan(0.25), in: () => board.zoomBy(0.5), out: () => board.zoomBy(2), whole: () => board.zoom(null) };
    moves[where]();
  }

  show() {
    const { range } = this.board;
    for (const button of this.bar.querySelectorAll("[data-needs-zoom]")) button.disabled = !range;
    const words = range ? `${this.board.axisKind.span} ${range.map((place) => this.board.labelOf(place, false)).join(" to ")}` : this.hint;
    if (this.state.textContent !== words) this.state.textContent = words;
  }

  showSmoothing(slider) {
    if (!this.smoothing) return;
    this.smoothing.value = slider;
    const words = slider ? strengthOf(slider).toFixed(2) : "off";
    this.smoothing.setAttribute("aria-valuetext", words);
    this.bar.querySelector("[data-smoothing-value]").textContent = words;
  }
}

/* A choice of the person, not of the session. A browser may refuse to keep it. */
export function keptSmoothing() {
  try {
    const kept = Number(localStorage.getItem(KEPT));
    return kept >= 0 && kept <= 1 ? kept : 0;
  } catch {
    return 0;
  }
}

export function keepSmoothing(slider) {
  try {
    localStorage.setItem(KEPT, slider);
  } catch {
    // It lasts as long as the page, then.
  }
}
