/* What happened: a tick at the bottom for a checkpoint, a line with its name for everything else. */
import { colour, FONT } from "./chart-colours.js";

const TICK = 5;
const NEAR = 5;
/* Above the plot, for the names. */
export const ROOM = 14;

/* Those that have a place on the board's axis. What happened before its first row stands at its beginning. */
export function marksOf(marks, board) {
  if (board.time) return marks.filter((mark) => mark.at !== null && mark.kind !== "checkpoint");
  const [first] = board.whole;
  const own = marks.filter((mark) => mark.phase === board.name && mark.step !== null);
  return own.map((mark) => (mark.step < first ? { ...mark, step: first } : mark));
}

function placeOf(mark, time) {
  return time ? mark.at : mark.step;
}

/* The one at the cursor: a line is met within some pixels, a checkpoint at its own step. */
export function markNear(plot, marks, time, place) {
  const away = (mark) => Math.abs(plot.valToPos(placeOf(mark, time), "x") - plot.cursor.left);
  const found = marks.filter((mark) => (mark.kind === "checkpoint" ? mark.step === place : away(mark) <= NEAR));
  return found.sort((one, other) => away(one) - away(other))[0] ?? null;
}

export function drawMarks(plot, marks, time) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - 1, bbox.top - ROOM * devicePixelRatio, bbox.width + 2, bbox.height + ROOM * devicePixelRatio);
  ctx.clip();
  ctx.font = FONT.replace(/^\d+px/, `${Math.round(10 * devicePixelRatio)}px`);
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  let free = -Infinity;
  for (const mark of [...marks].sort((one, other) => placeOf(one, time) - placeOf(other, time))) {
    const at = Math.round(plot.valToPos(placeOf(mark, time), "x", true));
    if (at < bbox.left - 1 || at > bbox.left + bbox.width + 1) continue;
    if (mark.kind === "checkpoint") drawTick(ctx, bbox, at);
    else free = drawLine(ctx, bbox, at, mark, free);
  }
  ctx.restore();
}

function drawTick(ctx, bbox, at) {
  const [size, bottom] = [TICK * devicePixelRatio, bbox.top + bbox.height];
  ctx.fillStyle = colour("mark");
  ctx.beginPath();
  ctx.moveTo(at, bottom - size);
  ctx.lineTo(at - size / 2, bottom);
  ctx.lineTo(at + size / 2, bottom);
  ctx.fill();
}

/* The names are as far from each other as they must be to be read; where the next one begins at the earliest. */
function drawLine(ctx, bbox, at, mark, free) {
  ctx.strokeStyle = ctx.fillStyle = colour(mark.title === "Failed" ? "bad" : "mark");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(at, bbox.top - (ROOM / 2) * devicePixelRatio);
  ctx.lineTo(at, bbox.top + bbox.height);
  ctx.stroke();
  const gap = 4 * devicePixelRatio;
  const width = ctx.measureText(mark.title).width;
  const left = at + gap + width > bbox.left + bbox.width ? at - gap - width : at + gap;
  if (left < free || left < bbox.left) return free;
  ctx.fillText(mark.title, left, bbox.top - 2 * devicePixelRatio);
  return left + width + 2 * gap;
}
