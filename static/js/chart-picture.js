/* A chart as a PNG: title, legend and plot, on the ground of the page, as sharp as the screen. */
import { colour, FONT } from "./chart-colours.js";
import { save } from "./save.js";

const MARGIN = 12;
const TITLE = 22;
const LEGEND = 20;

export function savePicture(chart) {
  const plot = chart.plot.ctx.canvas;
  const ratio = devicePixelRatio;
  const rows = legendRows(chart, plot.width / ratio);
  const canvas = document.createElement("canvas");
  canvas.width = plot.width + 2 * MARGIN * ratio;
  canvas.height = plot.height + (2 * MARGIN + TITLE + LEGEND * rows.length) * ratio;
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = colour("ground");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.save();
  ctx.scale(ratio, ratio);
  ctx.textBaseline = "middle";
  writeTitle(ctx, chart);
  rows.forEach((row, index) => writeLegend(ctx, row, MARGIN + TITLE + LEGEND * (index + 0.5)));
  ctx.restore();
  ctx.drawImage(plot, MARGIN * ratio, canvas.height - plot.height - MARGIN * ratio);
  canvas.toBlob((blob) => save(blob, `${chart.board.fileName}-${chart.spec.id}.png`), "image/png");
}

function writeTitle(ctx, chart) {
  ctx.fillStyle = colour("strong");
  ctx.font = `600 ${FONT.replace("11px", "13px")}`;
  ctx.fillText(`${chart.spec.title} · ${chart.board.title}`, MARGIN, MARGIN + TITLE / 2);
}

/* As many lines of the legend as do not fit beside each other. */
function legendRows(chart, width) {
  const probe = document.createElement("canvas").getContext("2d");
  probe.font = FONT;
  const rows = [[]];
  let used = 0;
  for (const line of chart.lines) {
    const needed = probe.measureText(line.label).width + 40;
    if (used + needed > width && used) {
      rows.push([]);
      used = 0;
    }
    rows.at(-1).push({ line, left: MARGIN + used });
    used += needed;
  }
  return rows;
}

function writeLegend(ctx, row, middle) {
  ctx.font = FONT;
  for (const { line, left } of row) {
    ctx.strokeStyle = colour(line.colour);
    ctx.lineWidth = 2;
    ctx.setLineDash(line.dashed ? [4, 3] : []);
    ctx.beginPath();
    ctx.moveTo(left, middle);
    ctx.lineTo(left + 16, middle);
    ctx.stroke();
    ctx.fillStyle = colour("strong");
    ctx.fillText(line.label, left + 22, middle);
  }
}
