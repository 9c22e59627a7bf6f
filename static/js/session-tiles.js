/* The newest values: number, trend, spark line. */
import { format } from "./session-format.js";

const WINDOW = 10;
const SPARK_VALUES = 60;
const [WIDTH, HEIGHT, MARGIN] = [120, 24, 2];

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function sparkPath(values) {
  if (values.length < 2) return "";
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const across = (WIDTH - 2 * MARGIN) / (values.length - 1);
  const up = (value) => (high === low ? HEIGHT / 2 : HEIGHT - MARGIN - ((value - low) / (high - low)) * (HEIGHT - 2 * MARGIN));
  return values.map((value, place) => `${place ? "L" : "M"}${(MARGIN + place * across).toFixed(1)} ${up(value).toFixed(1)}`).join(" ");
}

function variance(values) {
  const middle = mean(values);
  return mean(values.map((value) => (value - middle) ** 2));
}

/* The mean of the newest steps against that of as many before them. What noise explains counts as steady. */
function trendOf(values, style) {
  const size = Math.min(WINDOW, Math.floor(values.length / 2));
  if (size < 2) return null;
  const [now, before] = [values.slice(-size), values.slice(-2 * size, -size)];
  const change = mean(now) - mean(before);
  const noise = 2 * Math.sqrt((variance(now) + variance(before)) / size);
  const title = `Mean of the last ${size} steps against the ${size} before.`;
  if (Math.abs(change) <= Math.max(noise, Math.abs(mean(now)) * 0.01)) return { text: "→ steady", sign: 0, title };
  const amount = format(Number(Math.abs(change).toPrecision(3)), style);
  return { text: `${change > 0 ? "▲ +" : "▼ −"}${amount}`, sign: Math.sign(change), title };
}

function clipReason(low, high) {
  if (low == null && high == null) return "\u00a0";
  if (!low && !high) return "clip reason: none";
  return `clip reason: ${low > high ? "min bound" : high > low ? "max bound" : "both bounds"}`;
}

export class Tiles {
  constructor(root, values) {
    this.tiles = [...root.querySelectorAll("[data-tile]")];
    this.values = { ...values };
    this.showValues();
  }

  update(values) {
    for (const [key, value] of Object.entries(values)) if (typeof value === "number") this.values[key] = value;
    this.showValues();
  }

  showValues() {
    for (const tile of this.tiles) {
      const { tile: key, style } = tile.dataset;
      const text = format(this.values[key], style === "clip" ? "percent" : style);
      const place = tile.querySelector("[data-value]");
      if (place.textContent !== text) place.textContent = text;
      if (style === "clip") tile.querySelector("[data-trend]").textContent = this.clip();
    }
  }

  clip() {
    return clipReason(this.values["clip_ratio/low_mean"], this.values["clip_ratio/high_mean"]);
  }

  /* From the columns of the charts, which already hold the run. */
  showHistory(columns) {
    for (const tile of this.tiles) {
      const { tile: key, style, good } = tile.dataset;
      const history = (columns[key] ?? []).filter((value) => value != null);
      tile.querySelector("path").setAttribute("d", sparkPath(history.slice(-SPARK_VALUES)));
      if (style !== "clip") this.showTrend(tile.querySelector("[data-trend]"), trendOf(history, style), good);
    }
  }

  showTrend(place, trend, good) {
    place.textContent = trend?.text ?? "\u00a0";
    place.title = trend?.title ?? "";
    const better = good && trend?.sign ? (trend.sign > 0) === (good === "up") : null;
    place.classList.toggle("good", better === true);
    place.classList.toggle("bad", better === false);
  }
}

/* What the machine did last: 12.3 of 85.0 GB. */
export function showMachine(root, sample) {
  for (const place of root.querySelectorAll("[data-now]")) {
    const { now: key, of: whole, style } = place.dataset;
    const value = format(sample[key], style);
    place.textContent = whole && sample[whole] ? `${value} of ${format(sample[whole], style)}` : value;
  }
}
