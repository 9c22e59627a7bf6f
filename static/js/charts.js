/* Charts that share an axis: one cursor, one zoom, one fetch. Each has a legend with values, a log switch and a table. */
import uPlot from "../vendor/uplot.js";
import { format, formatTick } from "./session-format.js";

const COLOURS = {
  accent: "--lc-accent-text",
  "quiet-1": "--part-5",
  "quiet-2": "--part-6",
  text: "--lc-faint",
  grid: "--chart-grid",
  axis: "--lc-line",
};
const TABLE_ROWS = 300;
const WHOLE_STEPS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];

/* A canvas needs plain colours; the style sheet has light-dark() and variables. A hidden element resolves them. */
const resolved = new Map();
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

function colour(name) {
  if (!resolved.has(name)) {
    probe.style.color = `var(${COLOURS[name] ?? `--${name}`})`;
    resolved.set(name, getComputedStyle(probe).color);
  }
  return resolved.get(name);
}

function faded(name, share) {
  const parts = colour(name).match(/[\d.]+/g);
  return `rgba(${parts[0]}, ${parts[1]}, ${parts[2]}, ${share})`;
}

const boards = new Set();
new MutationObserver(() => {
  resolved.clear();
  for (const board of boards) board.restyle();
}).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* JSON has null for "not measured at this step" and for "not a number". A line goes on over the first, which uPlot
   takes as undefined, and breaks at the second. */
function columnOf(values, gaps) {
  const broken = new Set(gaps);
  return values.map((value, place) => (value === null && !broken.has(place) ? undefined : value));
}

class Chart {
  constructor(figure, spec, board) {
    this.figure = figure;
    this.spec = spec;
    this.board = board;
    this.log = spec.log;
    this.hidden = new Set();
    this.place = figure.querySelector("[data-plot]");
    this.empty = figure.querySelector("[data-empty]");
    this.note = figure.querySelector("[data-note]");
    this.tableBox = figure.querySelector("[data-plot-table]");
    this.buildLegend(figure.querySelector("[data-legend]"));
    figure.querySelector("[data-log]")?.addEventListener("click", (event) => this.toggleLog(event.currentTarget));
    figure.querySelector("[data-table]").addEventListener("click", (event) => this.toggleTable(event.currentTarget));
    new ResizeObserver(() => this.resize()).observe(this.place);
  }

  buildLegend(list) {
    this.legendStep = make("span", { class: "legend-step num" });
    list.append(make("li", {}, this.legendStep));
    this.legendValues = this.spec.lines.map((line) => {
      const value = make("span", { class: "legend-value num" });
      const swatch = make("i", { class: `legend-line legend-${line.colour}${line.dashed ? " dashed" : ""}` });
      const label = make("span", { class: "legend-label", title: line.label }, line.label);
      const button = make("button", { type: "button", class: "legend-item", "aria-pressed": "true" }, swatch, label, value);
      button.addEventListener("click", () => this.toggleLine(line, button));
      list.append(make("li", {}, button));
      return value;
    });
  }

  toggleLine(line, button) {
    const shown = this.hidden.has(line.key);
    if (shown) this.hidden.delete(line.key);
    else this.hidden.add(line.key);
    button.setAttribute("aria-pressed", String(shown));
    this.rebuild();
  }

  toggleLog(button) {
    this.log = !this.log;
    button.setAttribute("aria-pressed", String(this.log));
    this.rebuild();
  }

  toggleTable(button) {
    this.tableBox.hidden = !this.tableBox.hidden;
    button.setAttribute("aria-pressed", String(!this.tableBox.hidden));
    this.place.hidden = !this.tableBox.hidden;
    this.drawTable();
    this.resize();
  }

  get lines() {
    return this.spec.lines.filter((line) => !this.hidden.has(line.key));
  }

  column(key) {
    const values = this.board.columns[key] ?? [];
    return this.log ? values.map((value) => (value > 0 ? value : value === undefined ? undefined : null)) : values;
  }

  /* The axis, then a column a line, then for each spread its upper and its lower edge. */
  data() {
    const columns = this.lines.map((line) => this.column(line.key));
    for (const line of this.lines.filter((line) => line.spread && !this.log)) {
      const middle = this.column(line.key);
      const spread = this.column(line.spread);
      const edge = (sign) => middle.map((value, place) => (value == null || spread[place] == null ? value : value + sign * spread[place]));
      columns.push(edge(1), edge(-1));
    }
    return [this.board.axis, ...columns];
  }

  get hasData() {
    return this.spec.lines.some((line) => (this.board.columns[line.key] ?? []).some((value) => value != null));
  }

  draw() {
    const filled = this.hasData;
    this.empty.hidden = filled;
    if (this.note) {
      this.note.hidden = !filled;
      if (!filled) this.empty.textContent = this.note.textContent;
    }
    if (!filled) {
      this.destroy();
    } else if (this.plot) {
      this.plot.setData(this.data(), false);
      this.plot.setScale("x", this.board.limits);
    } else {
      this.build();
    }
    this.showValues();
    if (!this.tableBox.hidden) this.drawTable();
    this.describe();
  }

  destroy() {
    this.plot?.destroy();
    this.plot = null;
  }

  rebuild() {
    this.destroy();
    this.draw();
  }

  build() {
    if (!this.place.clientWidth) return;
    this.plot = new uPlot(this.options(), this.data(), this.place);
    this.plot.setScale("x", this.board.limits);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (!width || !height) return;
    if (!this.plot) this.draw();
    else if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
  }

  options() {
    const lines = this.lines;
    const bands = [];
    const edges = [];
    for (const line of lines.filter((line) => line.spread && !this.log)) {
      const upper = lines.length + edges.length + 1;
      edges.push(hiddenEdge(), hiddenEdge());
      bands.push({ series: [upper, upper + 1], fill: () => faded(line.colour, 0.16) });
    }
    return {
      width: this.place.clientWidth,
      height: this.place.clientHeight,
      legend: { show: false },
      padding: [8, 20, 0, 0],
      cursor: this.cursor(),
      hooks: {
        setCursor: [() => this.showValues()],
        setSelect: [(plot) => this.select(plot)],
      },
      scales: {
        x: { time: this.board.time, auto: false },
        y: this.log ? { distr: 3, log: 10 } : { range: (plot, low, high) => this.range(low, high) },
      },
      axes: [this.xAxis(), this.yAxis()],
      series: [{}, ...lines.map((line) => this.seriesOf(line)), ...edges],
      bands,
    };
  }

  cursor() {
    const only = (type) => type === "mousemove" || type === "mouseleave";
    return {
      y: false,
      points: { size: 6 },
      sync: { key: this.board.name, setSeries: false, filters: { pub: only, sub: only } },
      drag: { x: true, y: false, setScale: false, dist: 4 },
      bind: { dblclick: () => () => this.board.zoom(null) },
    };
  }

  select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const range = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.board.zoom(this.board.time ? range : [Math.floor(range[0]), Math.ceil(range[1])]);
  }

  seriesOf(line) {
    return {
      stroke: () => colour(line.colour),
      width: line.dashed ? 1.25 : 2,
      dash: line.dashed ? [5, 3] : undefined,
      points: { size: 5, fill: () => colour(line.colour), show: false, filter: isolated },
    };
  }

  xAxis() {
    return {
      stroke: () => colour("text"),
      grid: { show: false },
      ticks: { stroke: () => colour("axis"), size: 4 },
      font: FONT,
      size: 26,
      gap: 3,
      ...(this.board.time ? {} : { incrs: WHOLE_STEPS }),
      values: (plot, places) => places.map((place) => (this.board.time ? this.board.labelOf(place) : formatTick(place))),
    };
  }

  yAxis() {
    return {
      stroke: () => colour("text"),
      grid: { stroke: () => colour("grid"), width: 1 },
      ticks: { show: false },
      font: FONT,
      size: 54,
      gap: 6,
      values: (plot, places, axis, space, step) => places.map((place) => (place == null ? "" : formatTick(place, this.spec.style, step))),
    };
  }

  range(low, high) {
    if (low === null || high === null) return [0, 1];
    const floor = this.spec.floor;
    if (low === high) {
      const room = low === 0 ? (this.spec.style === "percent" ? 0.05 : 1) : Math.abs(low) * 0.5;
      return [floor === 0 && low >= 0 ? 0 : low - room, high + room];
    }
    const room = (high - low) * 0.08;
    return [floor === 0 && low >= 0 ? 0 : low - room, high + room];
  }

  /* At the cursor, or the newest ones. */
  showValues() {
    const at = this.plot?.cursor.idx ?? null;
    const axis = this.board.axis;
    const place = at ?? axis.length - 1;
    this.legendStep.textContent = axis.length ? this.board.labelOf(axis[place]) : "";
    this.spec.lines.forEach((line, index) => {
      const values = this.board.columns[line.key] ?? [];
      const value = at === null ? newest(values) : values[at];
      this.legendValues[index].textContent = format(value, this.spec.style);
    });
  }

  describe() {
    const [line] = this.spec.lines;
    const values = (this.board.columns[line.key] ?? []).filter((value) => value != null);
    if (!values.length) return;
    const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    const text = [low, high, values.at(-1)].map((value) => format(value, this.spec.style));
    this.place.removeAttribute("aria-labelledby");
    this.place.setAttribute("aria-label", `${this.spec.title}: from ${text[0]} to ${text[1]}, now ${text[2]}.`);
  }

  drawTable() {
    if (this.tableBox.hidden) return;
    const keys = this.spec.lines.flatMap((line) => (line.spread ? [line.key, line.spread] : [line.key]));
    const titles = this.spec.lines.flatMap((line) => (line.spread ? [line.label, "std"] : [line.label]));
    const head = make("tr", {}, ...[this.board.axisTitle, ...titles].map((title) => make("th", { scope: "col", class: "num" }, title)));
    const places = [...this.board.axis.keys()].reverse().slice(0, TABLE_ROWS);
    const rows = places.map((place) => this.tableRow(place, keys));
    const caption = make("caption", {}, this.caption(places.length));
    this.tableBox.replaceChildren(make("table", { class: "table" }, caption, make("thead", {}, head), make("tbody", {}, ...rows)));
  }

  tableRow(place, keys) {
    const cells = keys.map((key) => make("td", { class: "num" }, format(this.board.columns[key]?.[place], this.spec.style)));
    return make("tr", {}, make("th", { scope: "row", class: "num" }, this.board.labelOf(this.board.axis[place], false)), ...cells);
  }

  caption(shown) {
    const all = this.board.rows;
    return shown < all ? `${this.spec.title}, ${shown} of ${all} rows, newest first. The CSV has all.` : `${this.spec.title}, newest first.`;
  }
}

const FONT = '11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';

function hiddenEdge() {
  return { width: 0, points: { show: false } };
}

/* Places with no neighbour to draw a line to: only a point can show them. */
function isolated(plot, series) {
  const places = [...plot.data[series].keys()].filter((place) => plot.data[series][place] !== undefined);
  const gone = (place) => place === undefined || plot.data[series][place] === null;
  const found = places.filter((place, index) => !gone(place) && gone(places[index - 1]) && gone(places[index + 1]));
  return found.length ? found : null;
}

function newest(values) {
  for (let place = values.length - 1; place >= 0; place -= 1) if (values[place] != null) return values[place];
  return null;
}

export class Board {
  /* `load(keys, range)` answers {steps | times, series, gaps, rows}; range is null or [first, last]. */
  constructor({ name, specs, root, load, time = false, points = 900, more = [] }) {
    Object.assign(this, { name, load, time, points });
    this.axis = [];
    this.columns = {};
    this.rows = 0;
    this.range = null;
    this.keys = [...new Set([...specs.flatMap((spec) => spec.keys), ...more])];
    this.charts = specs.map((spec) => new Chart(root.querySelector(`[data-chart="${spec.id}"]`), spec, this));
    this.listeners = [];
    this.asked = 0;
    boards.add(this);
  }

  get axisTitle() {
    return this.time ? "Time" : "Step";
  }

  labelOf(place, named = true) {
    if (this.time) return new Date(place * 1000).toLocaleTimeString([], { hour12: false });
    return named ? `step ${place}` : String(place);
  }

  get limits() {
    const [low, high] = this.range ?? [this.axis[0] ?? 0, this.axis.at(-1) ?? 1];
    return low === high ? { min: low - 1, max: high + 1 } : { min: low, max: high };
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  async refresh() {
    const asked = (this.asked += 1);
    const reply = await this.load(this.keys, this.range);
    if (!reply || asked !== this.asked) return;
    this.axis = reply.steps ?? reply.times;
    this.rows = reply.rows;
    this.columns = Object.fromEntries(this.keys.map((key) => [key, columnOf(reply.series[key] ?? [], reply.gaps[key])]));
    this.changed();
  }

  /* One more row, or a row again. Values that are null were no numbers; missing ones were not measured. */
  append(place, values) {
    if (this.range) return;
    let at = this.axis.length;
    while (at > 0 && this.axis[at - 1] >= place) at -= 1;
    const again = this.axis[at] === place;
    if (!again) this.rows += 1;
    this.axis.splice(at, again ? 1 : 0, place);
    for (const key of this.keys) {
      this.columns[key] ??= new Array(this.axis.length - 1).fill(undefined);
      this.columns[key].splice(at, again ? 1 : 0, typeof values[key] === "number" || values[key] === null ? values[key] : undefined);
    }
    if (this.axis.length > 2 * this.points) this.refresh();
    this.changed();
  }

  /* A new attempt does these steps again. */
  cutAfter(place) {
    const keep = this.axis.findIndex((step) => step > place);
    if (keep < 0) return;
    this.rows -= this.axis.length - keep;
    this.axis.length = keep;
    for (const key of this.keys) if (this.columns[key]) this.columns[key].length = keep;
    this.changed();
  }

  zoom(range) {
    this.range = range;
    this.changed();
    this.refresh();
  }

  changed() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const chart of this.charts) chart.draw();
      for (const listener of this.listeners) listener(this);
    });
  }

  restyle() {
    for (const chart of this.charts) chart.plot?.redraw(true, true);
  }
}
