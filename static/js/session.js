/* The session page: what the server drew is brought to life here and kept true. */
import { Board } from "./charts.js";
import { keepSmoothing, keptSmoothing, strengthOf, Toolbar } from "./chart-toolbar.js";
import { save } from "./save.js";
import { duration } from "./session-format.js";
import { Groups } from "./session-groups.js";
import { Live } from "./session-live.js";
import { Log } from "./session-log.js";
import { showMachine, Tiles } from "./session-tiles.js";

const page = document.getElementById("session-page");
const head = document.getElementById("session-head");
const start = JSON.parse(document.getElementById("session-data").textContent);
const places = page.dataset;

/* Charts */

function queryOf(query, keys, range) {
  const asked = new URLSearchParams(query);
  for (const key of keys) asked.append("key", key);
  if (range) [["from", range[0]], ["to", range[1]]].forEach(([name, place]) => asked.set(name, Math.max(0, place)));
  return asked;
}

function loader(query) {
  return async (keys, range) => {
    try {
      const response = await fetch(`${places.series}?${queryOf({ points: start.points, ...query }, keys, range)}`);
      if (response.ok) return await response.json();
      console.warn("The charts could not be loaded:", response.status);
    } catch (problem) {
      console.warn("The charts could not be loaded:", problem);
    }
    return null;
  };
}

const spoken = document.getElementById("chart-spoken");

function boardOf(name, specs, query, options = {}) {
  return new Board({
    name,
    specs,
    root: page,
    title: document.querySelector("#session-head h1").textContent,
    fileName: `session-${start.id}`,
    load: loader(query),
    csv: (spec, range) => save(`${places.csv}?${queryOf({ ...query, name: spec.id }, spec.keys, range)}`),
    announce: (words) => (spoken.textContent = words),
    points: start.points,
    ...options,
  });
}

const boards = { system: boardOf("system", start.systemCharts, { kind: "system" }, { time: true }) };
for (const phase of ["training", "pretraining"]) {
  const specs = start.charts.filter((chart) => chart.phase === phase);
  if (specs.length) boards[phase] = boardOf(phase, specs, { phase }, { more: phase === "training" ? start.tileKeys : [] });
}

const bars = [...page.querySelectorAll("[data-toolbar]")].map((bar) => new Toolbar(bar, boards[bar.dataset.toolbar], setSmoothing));

function setSmoothing(slider) {
  keepSmoothing(slider);
  for (const bar of bars) bar.showSmoothing(slider);
  for (const board of Object.values(boards)) if (!board.time) board.setSmoothing(strengthOf(slider));
}

setSmoothing(keptSmoothing());

function setMarks(marks) {
  for (const board of Object.values(boards)) board.setMarks(marks);
}

let askingForMarks = null;

function reloadMarks() {
  askingForMarks ??= setTimeout(async () => {
    askingForMarks = null;
    const response = await fetch(places.marks).catch(() => null);
    if (response?.ok) setMarks((await response.json()).marks);
  }, 500);
}

document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.pathInfo?.requestPath?.includes("/inspect/dismiss/")) reloadMarks();
});

/* Tiles, log, groups */

const tiles = new Tiles(page, start.values);
const machine = document.getElementById("machine");
const log = new Log(document.getElementById("log-box"), places.events);
const groups = new Groups(document.getElementById("inspector"), places.groups);

showMachine(machine, start.system);
boards.training?.onChange((board) => board.range || tiles.showHistory(board.columns));

/* Tabs: the address names the open one */

function opened(name) {
  for (const element of document.querySelectorAll(`#pane-${name} [hx-trigger*="shown"]`)) window.htmx.trigger(element, "shown");
  if (name === "groups") groups.open();
  if (name === "log") log.toEnd();
}

function openTab(name) {
  document.getElementById(`tab-${name}`)?.click();
}

const tabs = page.querySelector(".session-tabs");
tabs.addEventListener("shown.bs.tab", (event) => {
  const name = event.target.getAttribute("aria-controls").replace("pane-", "");
  // A place in the tab that the address names stays: it is where the tab opens.
  if (tabNamed() !== name) history.replaceState(null, "", name === "overview" ? location.pathname : `#${name}`);
  opened(name);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-open-tab]");
  if (!link) return;
  event.preventDefault();
  openTab(link.dataset.openTab);
  tabs.scrollIntoView({ block: "nearest" });
});
/* Behind the name of a tab there may be a place in it. */
const tabNamed = () => location.hash.slice(1).split("?")[0];
window.addEventListener("hashchange", () => {
  openTab(tabNamed() || "overview");
  if (tabNamed() === "groups" && location.hash.includes("?")) groups.follows();
});

/* Config */

document.getElementById("config-changed").addEventListener("change", (event) => {
  document.getElementById("config-sections").classList.toggle("only-changed", event.target.checked);
});
document.getElementById("config-copy").dataset.copy = document.getElementById("config-text").textContent;

/* The head: what changes within a stage is written here, a new stage is drawn by the server */

const CONNECTION = {
  live: ["dot-live", "Live"],
  connecting: ["dot-waiting", "Connecting"],
  polling: ["dot-waiting", "Live, asking every 1.5 s"],
  offline: ["dot-bad", "Server can't be reached, trying again"],
  refused: ["dot-bad", "No access any more: reload the page"],
};
let connection = start.active ? "connecting" : "ended";

function showConnection() {
  const place = document.getElementById("connection");
  const known = CONNECTION[connection];
  if (!place) return;
  place.hidden = !known;
  if (!known) return;
  place.querySelector(".dot").className = `dot ${known[0]}`;
  if (place.lastElementChild.textContent !== known[1]) place.lastElementChild.textContent = known[1];
}

let shownState = { status: start.status, attempt: start.attempt };
let clock = null;

function startClock() {
  const place = document.getElementById("elapsed");
  clock = place ? { place, since: performance.now() - Number(place.dataset.seconds) * 1000 } : null;
}

setInterval(() => {
  if (clock) clock.place.textContent = `${duration((performance.now() - clock.since) / 1000)} so far`;
}, 1000);

let redrawing = null;

function redrawHead() {
  redrawing ??= setTimeout(async () => {
    redrawing = null;
    await window.htmx.ajax("GET", places.head, { target: head, swap: "innerHTML" });
    showConnection();
    startClock();
  }, 150);
}

function showProgress(noun, done, total) {
  const count = document.getElementById("stage-count");
  const bar = document.getElementById("stage-progress");
  if (!count || !bar || !total) return;
  count.textContent = `${noun} ${done} of ${total}`;
  bar.max = total;
  bar.value = done;
}

function showTimeLeft(seconds) {
  const place = document.getElementById("time-left");
  if (place && Number.isFinite(seconds)) place.textContent = `${duration(seconds)} left`;
}

function stage() {
  return head.querySelector(".stages-box")?.dataset.stage;
}

let total = start.totalSteps;

/* Messages */

const WORDS = {
  training_update(message) {
    const board = boards[message.phase];
    if (board && message.step !== null) board.append(message.step, message);
    if (message.phase === "training") tiles.update(message);
    const expected = message.phase === "training" ? "grpo" : "sft";
    if (stage() !== expected) redrawHead();
    else if (message.step !== null) showProgress("step", message.step, total);
    showTimeLeft(message.seconds_left);
  },
  system_update(message) {
    boards.system.append(Date.parse(message.at) / 1000, message);
    showMachine(machine, message);
  },
  phase(message) {
    if (message.total_steps) total = message.total_steps;
    const board = boards[message.status];
    if (Number.isInteger(message.resumed_from)) board?.cutAfter(message.resumed_from);
    if (message.attempt > shownState.attempt) board?.refresh();
    reloadMarks();
    redrawHead();
  },
  rollouts(message) {
    window.htmx.trigger("#latest", "rollouts");
    if (document.getElementById("ledger").offsetParent) window.htmx.trigger("#ledger", "rollouts");
    if (message.step !== null) groups.arrived(message.step);
  },
  evaluation(message) {
    // The server knows at which step a score belongs.
    if (message.summary || "score" in message) boards.training?.refreshSoon(1000);
    if ("score" in message) return;
    const expected = message.label === "base" ? "base" : "after";
    if (stage() !== expected) redrawHead();
    else showProgress("question", message.done, message.total);
    const pane = document.querySelector("#pane-evaluation [hx-get]");
    if (pane?.offsetParent) window.htmx.trigger(pane, "evaluation");
  },
  checkpoint() {
    window.htmx.trigger("#checkpoints", "checkpoint");
    reloadMarks();
    redrawHead();
  },
  log: (message) => log.add(message),
  error(message) {
    log.add(message);
    redrawHead();
  },
};

function onState({ status, attempt }) {
  if (status === shownState.status && attempt === shownState.attempt) return;
  shownState = { status, attempt };
  redrawHead();
  if (!["queued", "starting", "pretraining", "training", "finishing"].includes(status)) finish();
}

async function finish() {
  await live.stop();
  for (const board of Object.values(boards)) board.refresh();
  reloadMarks();
  window.htmx.trigger("#latest", "rollouts");
  window.htmx.trigger("#checkpoints", "checkpoint");
  const open = page.querySelector(".tab-pane.active");
  if (open) opened(open.id.replace("pane-", ""));
}

const live = new Live({
  socket: places.socket,
  events: places.events,
  seq: start.lastSeq,
  onMessage: (message) => WORDS[message.type]?.(message),
  onState,
  onConnection(state) {
    connection = state;
    showConnection();
  },
});

for (const board of Object.values(boards)) board.refresh();
setMarks(start.marks);
/* With the notes on where to look: they take the server a while, and the charts come first. */
setTimeout(reloadMarks, 2000);
if (start.active) live.start();
showConnection();
startClock();
log.toEnd();
/* Tabler opens the tab of the address by itself, before anybody here could hear of it; and htmx listens only from now on. */
document.addEventListener("DOMContentLoaded", () => {
  const named = tabNamed();
  if (named && document.getElementById(`tab-${named}`)?.classList.contains("active")) opened(named);
  else if (named) openTab(named);
});
