/* What a board's charts share below them: steps, the time of day, or the time since a beginning. */
import { formatTick } from "./session-format.js";

const [MINUTE, HOUR, DAY] = [60, 3600, 86_400];
const WHOLE_STEPS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];
const WHOLE_TIMES = [1, 2, 5, 10, 15, 30, ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE), ...[1, 2, 3, 6, 12].map((count) => count * HOUR), ...[1, 2, 5, 10, 30].map((count) => count * DAY)];

/* Over more than a day, the time of day alone says nothing. */
function clock(place, width) {
  const at = new Date(place * 1000);
  const time = at.toLocaleTimeString([], { hour12: false, hour: "2-digit", minute: "2-digit", ...(width < DAY / 4 ? { second: "2-digit" } : {}) });
  return width < DAY ? time : `${at.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

/* 2:05 min, 1:02:05 h */
function elapsed(place) {
  const seconds = Math.round(place);
  const two = (part) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / HOUR), Math.floor((seconds % HOUR) / MINUTE)];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % MINUTE)} h` : `${minutes}:${two(seconds % MINUTE)} min`;
}

/* 30 s, 2 min, 2:30 min, 1 h, 1:30 h, 2 d */
function elapsedTick(seconds) {
  const [size, unit] = [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"]].find(([size]) => seconds >= size) ?? [1, "s"];
  const [whole, rest] = [Math.floor(seconds / size), seconds % size];
  if (!rest) return `${whole} ${unit}`;
  return unit === "d" ? `${whole} d ${Math.round(rest / HOUR)} h` : `${whole}:${String(Math.round((rest * 60) / size)).padStart(2, "0")} ${unit}`;
}

/* `span` is the word before a stretch that is zoomed into; without `incrs` uPlot chooses for times of day. */
export const AXES = {
  step: {
    title: "Step",
    span: "Steps",
    incrs: WHOLE_STEPS,
    label: (place, width, named) => (named ? `step ${place}` : String(place)),
    tick: (place) => formatTick(place),
  },
  clock: { title: "Time", span: "From", incrs: null, label: clock, tick: clock },
  elapsed: { title: "Time since the start", span: "After", incrs: WHOLE_TIMES, space: 76, label: elapsed, tick: elapsedTick },
};
