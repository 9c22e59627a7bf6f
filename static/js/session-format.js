/* Numbers as the template filters of ui.py write them. */
const NOTHING = "–";
const THOUSANDS = "\u202f";

function grouped(text) {
  const [whole, rest] = text.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, THOUSANDS);
  return rest === undefined ? spaced : `${spaced}.${rest}`;
}

export function exponent(value, digits = 3) {
  if (value === 0) return "0";
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/0+$/, "").replace(/\.$/, "") : mantissa;
  return `${short}e${Number(power)}`;
}

export function number(value, digits = 3) {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return grouped(String(value));
  if (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e9) return exponent(value, digits);
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return grouped(value.toFixed(places));
}

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (part) => String(part).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function bytes(count) {
  let value = count;
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (Math.abs(value) < 1000 || unit === "TB") {
      return `${unit === "B" || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${unit}`;
    }
    value /= 1000;
  }
  return NOTHING;
}

const STYLES = {
  number,
  exponent,
  bytes,
  seconds: duration,
  tokens: (value) => grouped(value >= 1000 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)),
  percent: (value) => `${(value * 100).toFixed(1)} %`,
  of100: (value) => `${value.toFixed(0)} %`,
};

export function format(value, style = "number") {
  return Number.isFinite(value) ? (STYLES[style] ?? number)(value) : NOTHING;
}

/* Short marks of an axis: no more digits than tell two of them apart. */
export function formatTick(value, style, step) {
  if (style === "percent") return `${(value * 100).toFixed(step && step < 0.01 ? 1 : 0)} %`;
  if (style === "bytes") return bytes(value);
  if (style === "of100") return `${value} %`;
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return exponent(value, 2);
  return grouped(String(Number(value.toPrecision(6))));
}
