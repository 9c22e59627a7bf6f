/* Sessions beside each other: their series are merged to one axis, on which the board of the session page draws. */
import { Board } from "./charts.js";
import { keepSmoothing, keptSmoothing, strengthOf, Toolbar } from "./chart-toolbar.js";
import { save } from "./save.js";

const page = document.getElementById("compare-page");
const start = JSON.parse(document.getElementById("compare-data").textContent);
const REFRESH = 4000;
const NOTHING = { steps: [], seconds: [], series: {}, gaps: {}, rows: 0 };

/* A key of the board is the number of a session and a key of its own. */
const ownKey = (key) => key.slice(key.indexOf("/") + 1);
const isOf = (session) => (key) => key.startsWith(`${session.number}/`);

class Compared {
  constructor(session, keys) {
    this.session = session;
    this.keys = keys.filter(isOf(session));
    this.whole = null;
    this.part = null;
  }

  /* What is there is asked for once. While the session is active, `again` asks for it anew, for the whole run behind a
     zoom, too: so that one can move on to steps that came since. */
  async load(range, elapsed, again) {
    const anew = again && this.session.active;
    if (!this.whole || anew) this.whole = (await this.ask(null)) ?? this.whole;
    if (!range) return this.whole ?? NOTHING;
    const steps = elapsed ? this.stepsWithin(range) : range;
    if (!steps) return NOTHING;
    if (anew || this.part?.steps !== steps.join()) {
      const reply = await this.ask(steps);
      if (reply) this.part = { steps: steps.join(), reply };
    }
    return this.part?.steps === steps.join() ? this.part.reply : (this.whole ?? NOTHING);
  }

  /* The first and the last place of the whole run. */
  ends(elapsed) {
    const places = this.whole ? placesOf(this.whole, elapsed) : [];
    return places.length ? [places[0], places.at(-1)] : [];
  }

  async ask(range) {
    const asked = new URLSearchParams({ points: start.points, seconds: 1 });
    for (const key of this.keys) asked.append("key", ownKey(key));
    if (range) [["from", range[0]], ["to", range[1]]].forEach(([name, place]) => asked.set(name, Math.max(0, place)));
    const response = await fetch(`${this.session.series}?${asked}`).catch(() => null);
    if (response?.ok) return response.json();
    console.warn(`The series of ${this.session.name} could not be loaded:`, response?.status);
    return null;
  }

  /* The steps around a stretch of time, as far as the whole run's rows tell them. */
  stepsWithin([from, to]) {
    const { steps, seconds } = this.whole ?? NOTHING;
    if (!steps.length || seconds[0] === null || seconds[0] > to || seconds.at(-1) < from) return null;
    const first = Math.max(0, seconds.findLastIndex((at) => at <= from));
    const last = seconds.findIndex((at) => at >= to);
    return [steps[first], steps.at(last)];
  }
}

const placesOf = (reply, elapsed) => (elapsed ? reply.seconds.map((at) => at ?? 0) : reply.steps);

/* One ascending axis with a column for each key; where a session has no row of its own, null without a gap. */
function merged(replies, elapsed) {
  const axis = [...new Set(replies.flatMap(({ reply }) => placesOf(reply, elapsed)))].sort((one, other) => one - other);
  const at = new Map(axis.map((place, index) => [place, index]));
  const [series, gaps] = [{}, {}];
  for (const { keys, reply } of replies) {
    const places = placesOf(reply, elapsed);
    for (const key of keys) {
      const column = reply.series[ownKey(key)] ?? [];
      series[key] = new Array(axis.length).fill(null);
      column.forEach((value, index) => (series[key][at.get(places[index])] ??= value));
      gaps[key] = (reply.gaps[ownKey(key)] ?? []).map((index) => at.get(places[index]));
    }
  }
  const counts = replies.map(({ reply }) => reply.rows);
  return { steps: axis, series, gaps, rows: Math.max(axis.length, ...counts) };
}

const keys = start.charts.flatMap((chart) => chart.keys);
const compared = start.sessions.map((session) => new Compared(session, keys));
const spoken = document.getElementById("chart-spoken");
let elapsed = false;
let again = false;

function csvQuery(spec, range) {
  const asked = new URLSearchParams({ name: spec.id, by: elapsed ? "time" : "step" });
  for (const key of new Set(spec.keys.map(ownKey))) asked.append("key", key);
  if (range) [["from", range[0]], ["to", range[1]]].forEach(([name, place]) => asked.set(name, Math.max(0, place)));
  return asked;
}

const board = new Board({
  name: "compare",
  specs: start.charts,
  root: page,
  title: start.sessions.map((session) => session.name).join(", "),
  fileName: "compare",
  compares: true,
  points: start.points,
  announce: (words) => (spoken.textContent = words),
  csv: (spec, range) => save(`${page.dataset.csv}&${csvQuery(spec, range)}`),
  async load(_, range) {
    const replies = await Promise.all(compared.map((one) => one.load(range, elapsed, again)));
    const ends = compared.flatMap((one) => one.ends(elapsed));
    const extent = ends.length ? [Math.min(...ends), Math.max(...ends)] : null;
    return { ...merged(compared.map((one, index) => ({ keys: one.keys, reply: replies[index] })), elapsed), extent };
  },
});

const toolbar = new Toolbar(page.querySelector("[data-toolbar]"), board, setSmoothing);

function setSmoothing(slider) {
  keepSmoothing(slider);
  toolbar.showSmoothing(slider);
  board.setSmoothing(strengthOf(slider));
}

setSmoothing(keptSmoothing());

page.addEventListener("change", (event) => {
  if (event.target.name !== "axis") return;
  elapsed = event.target.value === "elapsed";
  board.setAxis(event.target.value);
});

/* While a session is active. What the last scores say is read once more, after it ended. */
const isActive = () => document.getElementById("compare-scores").hasAttribute("data-active");
let wasActive = isActive();

setInterval(async () => {
  if (document.hidden || !wasActive) return;
  wasActive = isActive();
  again = true;
  await board.refresh();
  again = false;
}, REFRESH);

board.refresh();
