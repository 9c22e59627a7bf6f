/* Upload in pieces (tus) that goes on after a broken connection or a reload. Without this module, or without tus, the
   form posts a small file by itself. */
const { tus } = window;
const form = document.getElementById("upload");
const find = (name) => form.querySelector(`[data-${name}]`);
const input = form.querySelector("input[type=file]");
const nameField = form.elements.namedItem("name");
const progress = find("progress");
const bar = progress.querySelector("progress");
const send = form.querySelector("button[type=submit]");
const parts = {
  zone: find("drop-zone"),
  problem: find("problem"),
  note: find("note"),
  figures: find("figures"),
  status: find("status"),
  label: find("send-label"),
  pause: find("pause"),
  cancel: find("cancel"),
};
const UPDATE_MS = 250;
const RATE_MS = 10_000;
/* A server that restarts, a laptop that sleeps: the last delay is repeated. Each piece that arrives starts anew. */
const RETRY_DELAYS = [0, 1000, 2000, 4000, 8000, ...Array(60).fill(15_000)];
/* Refusals that another try does not change. The others are the network, a server that restarts, a lost answer. */
const FINAL = new Set([400, 401, 403, 404, 410, 412, 413, 415, 507]);
const SENTENCES = {
  401: "You are signed out. Sign in again in another tab, then press Go on.",
  403: "You may not upload here any more: sign in again, or ask an owner of the team for the role member.",
};

let upload = null;
let running = false;
let finished = "";
let samples = [];
let shown = 0;
let arrived = 0;

function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}`;
}

function time(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.ceil((seconds % 3600) / 60)} min`;
}

function fail(message) {
  parts.problem.textContent = message;
  input.classList.toggle("is-invalid", message !== "");
}

function show(state, words = "") {
  running = state === "running";
  const begun = state !== "idle";
  progress.hidden = !begun;
  parts.cancel.hidden = !begun || finished !== "";
  parts.pause.hidden = !running;
  input.disabled = begun;
  send.hidden = running;
  parts.label.textContent = begun ? "Go on" : "Upload and check";
  parts.status.textContent = words;
  if (!running) samples = [];
}

function chosen() {
  const [file] = input.files;
  if (!file) return "Choose a file first.";
  if (file.size === 0) return "The file is empty. Choose one with rows in it.";
  return file.size > Number(form.dataset.maxBytes) ? form.dataset.tooLarge : "";
}

/* Over the last seconds, so that a pause or a slow minute does not count for ever. */
function rate(now, sent) {
  samples.push([now, sent]);
  samples = samples.filter(([then]) => now - then <= RATE_MS);
  const [then, before] = samples[0];
  return now - then >= 1000 ? ((sent - before) / (now - then)) * 1000 : 0;
}

function onProgress(sent, total) {
  const now = Date.now();
  if (now - shown < UPDATE_MS && sent < total) return;
  shown = now;
  const speed = rate(now, sent);
  bar.value = (100 * sent) / total;
  const left = speed > 0 && sent < total ? `, ${size(speed)}/s, ${time((total - sent) / speed)} left` : "";
  parts.figures.textContent = `${size(sent)} of ${size(total)}${left}`;
  if (running && sent > arrived) parts.status.textContent = "";
  arrived = sent;
}

function sentence(error) {
  const response = error.originalResponse;
  if (!response) return "The server can't be reached. What has arrived is kept: press Go on when the connection is back.";
  const known = SENTENCES[response.getStatus()];
  if (known) return known;
  try {
    return JSON.parse(response.getBody()).error;
  } catch {
    return `The server answered ${response.getStatus()}. What has arrived is kept: press Go on to try again.`;
  }
}

function onShouldRetry(error) {
  const status = error.originalResponse?.getStatus() ?? 0;
  if (FINAL.has(status)) return false;
  samples = [];
  parts.status.textContent = "The connection broke. Trying again …";
  return true;
}

function onError(error) {
  show("paused");
  fail(sentence(error));
}

/* Its own step: if only this fails, the file need not be sent again. */
async function startImport() {
  show("running", "Uploaded. Starting the import …");
  parts.pause.hidden = true;
  try {
    const response = await fetch(`${finished.replace(/\/$/, "")}/import`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: JSON.stringify({ name: nameField.value.trim() || input.files[0].name }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    window.location.assign(answer.url);
  } catch (error) {
    show("paused");
    fail(`The file has arrived, but its import did not start: ${error.message} Press Go on to try again.`);
  }
}

function token() {
  return form.elements.namedItem("csrfmiddlewaretoken").value;
}

function made(file) {
  return new tus.Upload(file, {
    endpoint: form.dataset.endpoint,
    chunkSize: Number(form.dataset.chunkBytes),
    retryDelays: RETRY_DELAYS,
    removeFingerprintOnSuccess: true,
    metadata: { filename: file.name },
    headers: { "X-CSRFToken": token() },
    onProgress,
    onShouldRetry,
    onError,
    onSuccess() {
      finished = upload.url;
      startImport();
    },
  });
}

async function start() {
  fail("");
  show("running", "Starting …");
  if (finished) {
    await startImport();
    return;
  }
  if (!upload) {
    upload = made(input.files[0]);
    const [before] = await upload.findPreviousUploads();
    if (before) upload.resumeFromPreviousUpload(before);
  }
  upload.start();
}

async function pause() {
  await upload.abort();
  show("paused", "Paused.");
}

async function cancel() {
  const ended = upload;
  upload = null;
  show("idle");
  fail("");
  try {
    await ended?.abort(true);
  } catch {
    /* It is removed by itself after a day. */
  }
}

/* Says so before anything is sent when a part of this very file has arrived already. */
async function onChoice() {
  fail(input.files[0] ? chosen() : "");
  parts.note.textContent = "";
  const [file] = input.files;
  if (!file || chosen()) return;
  parts.note.textContent = size(file.size);
  const [before] = await made(file).findPreviousUploads();
  if (!before || input.files[0] !== file) return;
  const answer = await fetch(before.uploadUrl, { method: "GET", headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) return;
  const { received } = await answer.json();
  parts.note.textContent = `${size(file.size)}. ${size(received)} have arrived already: the upload goes on from there.`;
}

function enhance() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const problem = chosen();
    if (problem) fail(problem);
    else if (!running) start();
  });
  parts.pause.addEventListener("click", pause);
  parts.cancel.addEventListener("click", cancel);
  input.addEventListener("change", onChoice);
  window.addEventListener("beforeunload", (event) => {
    if (running && !finished) event.preventDefault();
  });
  if (input.files.length) onChoice();
}

for (const type of ["dragenter", "dragover"]) {
  parts.zone.addEventListener(type, (event) => {
    event.preventDefault();
    if (!input.disabled) parts.zone.classList.add("is-over");
  });
}
for (const type of ["dragleave", "drop"]) {
  parts.zone.addEventListener(type, () => parts.zone.classList.remove("is-over"));
}
parts.zone.addEventListener("drop", (event) => {
  event.preventDefault();
  if (input.disabled) return;
  if (event.dataTransfer.files.length !== 1) {
    fail("Drop one file at a time.");
    return;
  }
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change"));
});

if (tus?.isSupported) enhance();
