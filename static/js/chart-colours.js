/* A canvas needs plain colours; the style sheet has light-dark() and variables. A hidden element resolves them. */
const COLOURS = {
  accent: "--lc-accent-text",
  "quiet-1": "--part-5",
  "quiet-2": "--part-6",
  text: "--lc-faint",
  strong: "--lc-text",
  grid: "--chart-grid",
  axis: "--lc-line",
  mark: "--lc-muted",
  bad: "--lc-bad",
  ground: "--lc-surface",
};
export const FONT = '11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';

const resolved = new Map();
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

export function colour(name) {
  if (!resolved.has(name)) {
    probe.style.color = `var(${COLOURS[name] ?? `--${name}`})`;
    resolved.set(name, getComputedStyle(probe).color);
  }
  return resolved.get(name);
}

export function faded(name, share) {
  const parts = colour(name).match(/[\d.]+/g);
  return `rgba(${parts[0]}, ${parts[1]}, ${parts[2]}, ${share})`;
}

export function forgetColours() {
  resolved.clear();
}
