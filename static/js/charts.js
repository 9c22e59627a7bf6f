/* Charts that share an axis: one cursor, one zoom, one smoothing, one fetch. Each has a legend with values, a log switch,
   a table and downloads. */
import uPlot from "../vendor/uplot.js";
import { savePicture } from "./chart-picture.js";
import { AXES } from "./chart-axes.js";
import { drawMarks, markNear, marksOf, ROOM } from "./chart-marks.js";
import { colour, faded, FONT, forgetColours } from "./chart-colours.js";
import { format, formatTick } from "./session-format.js";

const TABLE_ROWS = 300;
const NOTHING_YET = "Nothing measured yet.";
/* Shares of what is shown. */
const PAN = 0.25;
const ZOOM = 0.5;
const WHEEL_ZOOM = 0.8;
const PAGE_OF_ROWS = 20;
const FETCH_AFTER = 120;

const boards = new Set();
new MutationObserver(() => {
  forgetColours();
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

/* An exponential mean with as much weight for the steps before as `strength` says. A wider distance counts for more than
   one row, so that thinned places are smoothed alike; a gap stays a gap and does not end the mean. How wide a row is, is
   the column's own: beside those of other sessions it has rows of theirs between its own. */
export function smoothed(axis, values, strength) {
  const own = axis.filter((_, place) => values[place] !== undefined);
  const typical = own.length > 1 ? (own.at(-1) - own[0]) / (own.length - 1) : 1;
  let [sum, weight, before] = [0, 0, null];
  return values.map((value, place) => {
    if (value == null) return value;
    const fading = before === null ? 0 : strength ** Math.min(20, (axis[place] - axis[before]) / typical);
    before = place;
    sum = sum * fading + value;
    weight = weight * fading + 1;
    return sum / weight;
  });
}

class Chart {
  constructor(figure, spec, board) {
    this.figure = figure;
    this.spec = spec;
    this.board = board;
    this.log = false;
    this.hidden = new Set();
    this.place = figure.querySelector("[data-plot]");
    this.empty = figure.querySelector("[data-empty]");
    this.note = figure.querySelector("[data-note]");
    this.tableBox = figure.querySelector("[data-plot-table]");
    this.buildLegend(figure.querySelector("[data-legend]"));
    figure.querySelector("[data-log]")?.addEventListener("click", (event) => this.toggleLog(event.currentTarget));
    figure.querySelector("[data-table]").addEventListener("click", (event) => this.toggleTable(event.currentTarget));
    figure.querySelector("[data-csv]").addEventListener("click", () => this.board.saveCsv(spec));
    figure.querySelector("[data-png]").addEventListener("click", () => this.plot && savePicture(this));
    this.place.addEventListener("keydown", (event) => this.key(event));
    this.place.addEventListener("blur", () => this.board.moveCursor(null));
    this.place.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
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

  /* Keyboard: a cursor that reads values, zoom and pan. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.plot) return;
    const act = event.shiftKey ? this.shiftKeys[event.key] : this.keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  get shiftKeys() {
    return { ArrowLeft: () => this.board.pan(-PAN), ArrowRight: () => this.board.pan(PAN), "+": this.keys["+"] };
  }

  get keys() {
    return {
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      PageUp: () => this.step(PAGE_OF_ROWS),
      PageDown: () => this.step(-PAGE_OF_ROWS),
      Home: () => this.step(-Infinity),
      End: () => this.step(Infinity),
      "+": () => this.board.zoomBy(ZOOM),
      "=": () => this.board.zoomBy(ZOOM),
      "-": () => this.board.zoomBy(1 / ZOOM),
      0: () => this.board.zoom(null),
      Escape: () => this.board.zoom(null),
    };
  }

  step(rows) {
    this.board.moveCursor((this.plot.cursor.idx ?? this.board.axis.length) + rows);
    this.board.announce(`${this.spec.title}, ${this.legendStep.textContent}: ${this.spoken}`);
  }

  get spoken() {
    return this.lines.map((line) => `${line.label} ${this.legendValues[this.spec.lines.indexOf(line)].textContent}`).join(", ");
  }

  /* A plain wheel scrolls the page. */
  wheel(event) {
    if (!this.plot || !(event.ctrlKey || event.shiftKey)) return;
    event.preventDefault();
    const amount = Math.sign(event.deltaY || event.deltaX);
    const at = this.plot.posToVal(event.clientX - this.plot.over.getBoundingClientRect().left, "x");
    if (event.shiftKey) this.board.pan(amount * PAN * 0.4);
    else this.board.zoomBy(amount < 0 ? WHEEL_ZOOM : 1 / WHEEL_ZOOM, at);
  }

  get lines() {
    return this.spec.lines.filter((line) => !this.hidden.has(line.key));
  }

  column(key) {
    const values = this.board.columns[key] ?? [];
    return this.log ? values.map((value) => (value > 0 ? value : value === undefined ? undefined : null)) : values;
  }

  smooth(line, values) {
    return this.board.smoothing && !line.sparse ? smoothed(this.board.axis, values, this.board.smoothing) : values;
  }

  /* What is drawn, from back to front: as measured and faint below a smoothed line, the edges of bands, the lines. */
  get layers() {
    const faint = this.board.smoothing ? this.lines.filter((line) => !line.sparse) : [];
    const banded = this.log ? [] : this.lines.filter((line) => line.spread || line.edges);
    return [
      ...faint.map((line) => ({ values: this.column(line.key), style: { stroke: () => faded(line.colour, 0.3), width: 1, points: { show: false } } })),
      ...banded.flatMap((line) => this.edges(line).map((values) => ({ values: this.smooth(line, values), style: { width: 0, points: { show: false } }, band: line }))),
      ...this.lines.map((line) => ({ values: this.smooth(line, this.column(line.key)), style: this.styleOf(line) })),
    ];
  }

  edges(line) {
    if (line.edges) return [this.column(line.edges[1]), this.column(line.edges[0])];
    const [middle, spread] = [this.column(line.key), this.column(line.spread)];
    return [1, -1].map((sign) => middle.map((value, place) => (value == null || spread[place] == null ? value : value + sign * spread[place])));
  }

  data(layers) {
    return [this.board.axis, ...layers.map((layer) => layer.values)];
  }

  get hasData() {
    return this.spec.lines.some((line) => (this.board.columns[line.key] ?? []).some((value) => value != null));
  }

  get shown() {
    return this.figure.offsetParent !== null;
  }

  draw() {
    // Nobody looks at it; it is drawn as soon as it has a size again.
    this.stale = !this.shown;
    if (this.stale) return;
    const filled = this.hasData;
    this.empty.hidden = filled;
    if (this.note) this.note.hidden = !filled;
    if (!filled) this.empty.textContent = this.board.axis.length ? (this.note?.textContent ?? this.spec.empty) : NOTHING_YET;
    if (!filled) {
      this.destroy();
    } else if (this.plot) {
      this.plot.setData(this.data(this.layers), false);
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
    const layers = this.layers;
    this.plot = new uPlot(this.options(layers), this.data(layers), this.place);
    this.plot.setScale("x", this.board.limits);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (!width || !height) return;
    if (!this.plot || this.stale) this.draw();
    if (this.plot && (this.plot.width !== width || this.plot.height !== height)) this.plot.setSize({ width, height });
  }

  options(layers) {
    const bands = layers.flatMap((layer, index) =>
      layer.band && layers[index + 1].band === layer.band ? [{ series: [index + 1, index + 2], fill: () => faded(layer.band.colour, 0.16) }] : [],
    );
    return {
      width: this.place.clientWidth,
      height: this.place.clientHeight,
      legend: { show: false },
      padding: [ROOM, 28, 0, 0],
      cursor: this.cursor(),
      hooks: {
        setCursor: [() => this.showValues()],
        setSelect: [(plot) => this.select(plot)],
        draw: [(plot) => drawMarks(plot, this.marks, this.board.time)],
      },
      scales: {
        x: { time: this.board.time, auto: false },
        y: this.log ? { distr: 3, log: 10, range: logRange } : { range: (plot, low, high) => this.range(low, high) },
      },
      axes: [this.xAxis(), this.yAxis()],
      series: [{}, ...layers.map((layer) => layer.style)],
      bands,
    };
  }

  get marks() {
    return this.board.showsMarks ? marksOf(this.board.marks, this.board) : [];
  }

  cursor() {
    const only = (type) => type === "mousemove" || type === "mouseleave";
    return {
      y: false,
      points: { size: 6 },
      sync: { key: this.board.name, setSeries: false, filters: { pub: only, sub: only } },
      drag: { x: true, y: false, setScale: false, dist: 4 },
      bind: {
        dblclick: () => () => this.board.zoom(null),
        mousedown: (plot, over, select) => (event) => (event.shiftKey ? this.grab(event) : select(event)),
      },
    };
  }

  /* With the shift key a drag moves the stretch that is shown. */
  grab(event) {
    const { min, max } = this.plot.scales.x;
    const each = (max - min) / this.plot.over.clientWidth;
    const from = event.clientX;
    const move = (moved) => this.board.moveTo(min - (moved.clientX - from) * each, max - min);
    document.addEventListener("mousemove", move);
    document.addEventListener("mouseup", () => document.removeEventListener("mousemove", move), { once: true });
  }

  select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const range = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.board.zoom(range);
  }

  styleOf(line) {
    return {
      stroke: () => colour(line.colour),
      width: line.dashed ? 1.25 : 2,
      dash: line.dashed ? [5, 3] : undefined,
      points: { size: 5, fill: () => colour(line.colour), show: line.sparse, ...(line.sparse ? {} : { filter: isolated }) },
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
      ...(this.board.axisKind.incrs ? { incrs: this.board.axisKind.incrs } : {}),
      ...(this.board.axisKind.space ? { space: this.board.axisKind.space } : {}),
      values: (plot, places) => places.map((place) => this.board.axisKind.tick(place, this.board.width)),
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

  /* At the cursor, or the newest ones. With smoothing both the smoothed and, in brackets, the measured value. */
  showValues() {
    const at = this.plot?.cursor.idx ?? null;
    const axis = this.board.axis;
    const place = Math.min(at ?? Infinity, axis.length - 1);
    const mark = at === null ? null : markNear(this.plot, this.marks, this.board.time, axis[place]);
    this.legendStep.textContent = axis.length ? [this.board.labelOf(axis[place]), mark?.title].filter(Boolean).join(", ") : "";
    this.spec.lines.forEach((line, index) => {
      const values = this.board.columns[line.key] ?? [];
      this.legendValues[index].textContent = this.valueAt(line, values, at === null || line.sparse ? lastMeasured(values, place) : this.board.compares ? measuredAt(values, at) : at);
    });
  }

  valueAt(line, values, place) {
    const measured = format(values[place], this.spec.style);
    if (!this.board.smoothing || line.sparse || values[place] == null) return measured;
    return `${format(this.board.smoothedColumn(line.key)[place], this.spec.style)} (${measured})`;
  }

  describe() {
    if (this.board.compares) return this.describeAll();
    const [line] = this.spec.lines;
    const values = (this.board.columns[line.key] ?? []).filter((value) => value != null);
    if (!values.length) return;
    const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    const text = [low, high, values.at(-1)].map((value) => format(value, this.spec.style));
    this.place.removeAttribute("aria-labelledby");
    this.place.setAttribute("aria-label", `${this.spec.title}: from ${text[0]} to ${text[1]}, now ${text[2]}.`);
  }

  describeAll() {
    const newest = (line) => {
      const values = this.board.columns[line.key] ?? [];
      return format(values[lastMeasured(values, values.length - 1)], this.spec.style);
    };
    this.place.removeAttribute("aria-labelledby");
    this.place.setAttribute("aria-label", `${this.spec.title}, newest values: ${this.lines.map((line) => `${line.label} ${newest(line)}`).join(", ")}.`);
  }

  drawTable() {
    if (this.tableBox.hidden) return;
    const columns = this.spec.lines.flatMap((line) => [
      [line.key, line.label],
      ...(line.spread ? [[line.spread, "std"]] : []),
      ...(line.edges ? line.edges.map((key, edge) => [key, edge ? "95 % to" : "95 % from"]) : []),
    ]);
    const head = [this.board.axisTitle, ...columns.map(([, title]) => title), ...(this.board.compares ? [] : ["Mark"])].map((title) => make("th", { scope: "col", class: "num" }, title));
    const places = [...this.board.axis.keys()].reverse().filter((place) => columns.some(([key]) => this.board.columns[key]?.[place] !== undefined));
    const rows = places.slice(0, TABLE_ROWS).map((place) => this.tableRow(place, columns));
    const caption = make("caption", {}, this.caption(rows.length));
    this.tableBox.replaceChildren(make("table", { class: "table" }, caption, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
  }

  tableRow(place, columns) {
    const at = this.board.axis[place];
    const cells = columns.map(([key]) => make("td", { class: "num" }, format(this.board.columns[key]?.[place], this.spec.style)));
    const titles = this.board.time ? [] : marksOf(this.board.marks, this.board).filter((mark) => mark.step === at).map((mark) => mark.title);
    const marked = this.board.compares ? [] : [make("td", {}, titles.join(", "))];
    return make("tr", {}, make("th", { scope: "row", class: "num" }, this.board.labelOf(at, false)), ...cells, ...marked);
  }

  caption(shown) {
    const all = this.board.rows;
    return shown < all ? `${this.spec.title}, ${shown} of ${all} rows, newest first. The CSV has all.` : `${this.spec.title}, newest first.`;
  }
}

function logRange(plot, low, high) {
  return low == null || high == null ? [0.1, 1] : uPlot.rangeLog(low, high, 10, false);
}

/* Places with no neighbour to draw a line to: only a point can show them. */
function isolated(plot, series) {
  const places = [...plot.data[series].keys()].filter((place) => plot.data[series][place] !== undefined);
  const gone = (place) => place === undefined || plot.data[series][place] === null;
  const found = places.filter((place, index) => !gone(place) && gone(places[index - 1]) && gone(places[index + 1]));
  return found.length ? found : null;
}

function lastMeasured(values, from) {
  for (let place = from; place >= 0; place -= 1) if (values[place] != null) return place;
  return -1;
}

/* The one at a place that only other lines have: of the row before, as long as another one follows. */
function measuredAt(values, place) {
  const before = lastMeasured(values, place);
  return before === place || values.findIndex((value, other) => other > place && value != null) > 0 ? before : -1;
}

export class Board {
  /* `load(keys, range)` answers {steps | times, series, gaps, rows}; range is null or [first, last]. With `extent` beside
     them, the ends of the whole run, it grows behind a zoom, too. `csv(spec, range)` starts a download. A board that `compares` has a session in each line, and so no marks, and rows that are not of
     all lines. */
  constructor({ name, title, fileName, specs, root, load, csv, announce, time = false, compares = false, points = 900, more = [] }) {
    Object.assign(this, { name, title, fileName, load, csv, announce, time, compares, points });
    this.axisKind = time ? AXES.clock : AXES.step;
    this.axis = [];
    this.columns = {};
    this.rows = 0;
    this.range = null;
    this.extent = null;
    this.marks = [];
    this.showsMarks = true;
    this.smoothing = 0;
    this.keys = [...new Set([...specs.flatMap((spec) => spec.keys), ...more])];
    this.charts = specs.map((spec) => new Chart(root.querySelector(`[data-chart="${spec.id}"]`), spec, this));
    this.listeners = [];
    this.asked = 0;
    boards.add(this);
  }

  get axisTitle() {
    return this.axisKind.title;
  }

  get width() {
    return this.limits.max - this.limits.min;
  }

  labelOf(place, named = true) {
    return this.axisKind.label(place, this.width, named);
  }

  /* Another axis, with rows of its own: from the whole run on. */
  setAxis(kind) {
    Object.assign(this, { axisKind: AXES[kind], range: null, extent: null, axis: [], columns: {}, rows: 0 });
    for (const chart of this.charts) chart.destroy();
    return this.refresh();
  }

  get limits() {
    const [low, high] = this.range ?? this.whole;
    return low === high ? { min: low - 1, max: high + 1 } : { min: low, max: high };
  }

  get whole() {
    return this.extent ?? [this.axis[0] ?? 0, this.axis.at(-1) ?? 1];
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  async refresh() {
    const asked = (this.asked += 1);
    clearTimeout(this.fetching);
    this.fetching = null;
    const range = this.range;
    const reply = await this.load(this.keys, range);
    if (!reply || asked !== this.asked) return;
    this.axis = reply.steps ?? reply.times;
    this.rows = reply.rows;
    this.columns = Object.fromEntries(this.keys.map((key) => [key, columnOf(reply.series[key] ?? [], reply.gaps[key])]));
    if (reply.extent) this.extent = reply.extent;
    else if (!range && this.axis.length) this.extent = [this.axis[0], this.axis.at(-1)];
    this.changed();
  }

  /* Moves follow each other fast: what is loaded is shown at once, what is missing is asked for when it calms down. */
  refreshSoon(wait = FETCH_AFTER) {
    this.fetching ??= setTimeout(() => this.refresh(), wait);
  }

  /* One more row, or more of a row. Values that are null were no numbers; missing ones were not measured. */
  append(place, values) {
    if (this.extent) this.extent = [Math.min(this.extent[0], place), Math.max(this.extent[1], place)];
    if (this.range) return this.changed();
    this.extent ??= [place, place];
    let at = this.axis.length;
    while (at > 0 && this.axis[at - 1] >= place) at -= 1;
    const again = this.axis[at] === place;
    if (!again) this.rows += 1;
    this.axis.splice(at, again ? 1 : 0, place);
    for (const key of this.keys) {
      this.columns[key] ??= new Array(this.axis.length - 1).fill(undefined);
      const value = typeof values[key] === "number" || values[key] === null ? values[key] : undefined;
      this.columns[key].splice(at, again ? 1 : 0, value === undefined && again ? this.columns[key][at] : value);
    }
    if (this.axis.length > 2 * this.points) this.refreshSoon();
    this.changed();
  }

  /* A new attempt does these steps again. */
  cutAfter(place) {
    const keep = this.axis.findIndex((step) => step > place);
    if (keep < 0) return;
    this.rows -= this.axis.length - keep;
    this.axis.length = keep;
    for (const key of this.keys) if (this.columns[key]) this.columns[key].length = keep;
    if (this.extent) this.extent = [Math.min(this.extent[0], place), place];
    this.changed();
  }

  /* Within the run, at least one step or second wide, and null for all of it. */
  zoom(range) {
    this.show(range);
    this.refresh();
  }

  show(range) {
    this.range = range && this.fitted(range);
    this.changed();
  }

  fitted([first, last]) {
    const [low, high] = this.whole;
    let [from, to] = [Math.max(low, Math.floor(first)), Math.min(high, Math.ceil(last))];
    if (to - from < 1) [from, to] = [Math.max(low, Math.min(from, high - 1)), Math.min(high, Math.max(to, low + 1))];
    return from <= low && to >= high ? null : [from, to];
  }

  zoomBy(factor, at = null) {
    const { min, max } = this.limits;
    const middle = at ?? (min + max) / 2;
    this.show([middle - (middle - min) * factor, middle + (max - middle) * factor]);
    this.refreshSoon();
  }

  pan(share) {
    const { min, max } = this.limits;
    this.moveTo(min + (max - min) * share, max - min);
  }

  moveTo(first, width) {
    if (!this.range) return;
    const [low, high] = this.whole;
    const from = Math.round(Math.max(low, Math.min(first, high - width)));
    this.range = [from, from + Math.round(width)];
    this.changed();
    this.refreshSoon();
  }

  moveCursor(place) {
    const at = place === null ? null : Math.max(0, Math.min(place, this.axis.length - 1));
    for (const { plot } of this.charts) plot?.setCursor(at === null ? { left: -10, top: -10 } : { left: plot.valToPos(this.axis[at], "x"), top: 10 });
  }

  setSmoothing(strength) {
    if (strength === this.smoothing) return;
    this.smoothing = strength;
    for (const chart of this.charts) chart.destroy();
    this.changed();
  }

  /* For the legend, which asks at every move of the pointer. */
  smoothedColumn(key) {
    this.smoothedOnes ??= {};
    return (this.smoothedOnes[key] ??= smoothed(this.axis, this.columns[key], this.smoothing));
  }

  setMarks(marks) {
    this.marks = marks;
    this.changed();
  }

  showMarks(shown) {
    this.showsMarks = shown;
    this.changed();
  }

  saveCsv(spec) {
    this.csv(spec, this.range);
  }

  changed() {
    this.smoothedOnes = null;
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
