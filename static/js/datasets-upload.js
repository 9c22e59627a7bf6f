/* Upload with progress and drag and drop. Without this module the form posts by itself and works the same. */
const form = document.getElementById("upload");
const input = form.querySelector("input[type=file]");
const zone = form.querySelector("[data-drop-zone]");
const problem = form.querySelector("[data-problem]");
const progress = form.querySelector("[data-progress]");
const bar = progress.querySelector("progress");
const status = form.querySelector("[data-status]");
const send = form.querySelector("button[type=submit]");
const cancel = form.querySelector("[data-cancel]");
const UPDATE_MS = 250;

let request = null;

function megabytes(bytes) {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function fail(message) {
  problem.textContent = message;
  input.classList.toggle("is-invalid", message !== "");
}

function busy(on) {
  progress.hidden = !on;
  cancel.hidden = !on;
  send.disabled = on;
  if (!on) request = null;
}

function tooLarge(file) {
  return file.size > Number(form.dataset.maxBytes);
}

function showProgress(started) {
  let shown = 0;
  return (event) => {
    if (!event.lengthComputable || (Date.now() - shown < UPDATE_MS && event.loaded < event.total)) return;
    shown = Date.now();
    bar.value = (100 * event.loaded) / event.total;
    const rate = event.loaded / Math.max((Date.now() - started) / 1000, 0.001);
    const left = Math.ceil((event.total - event.loaded) / rate);
    const done = `${megabytes(event.loaded)} of ${megabytes(event.total)}, ${megabytes(rate)}/s`;
    status.textContent = left > 0 ? `${done}, ${left} s left` : "Uploaded. Checking every line …";
    if (left <= 0) bar.removeAttribute("value");
  };
}

function answered() {
  const answer = request.response;
  busy(false);
  if (answer?.url) window.location.assign(answer.url);
  else fail(answer?.error ?? "The server could not take the file. Nothing was stored; try again.");
}

function upload() {
  request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.responseType = "json";
  request.setRequestHeader("Accept", "application/json");
  request.upload.addEventListener("progress", showProgress(Date.now()));
  request.addEventListener("load", answered);
  request.addEventListener("error", () => {
    busy(false);
    fail("The connection broke. Nothing was stored; try again.");
  });
  request.addEventListener("abort", () => {
    busy(false);
    fail("Cancelled. Nothing was stored.");
  });
  request.send(new FormData(form));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (request) return;
  const [file] = input.files;
  if (tooLarge(file)) {
    fail(form.dataset.tooLarge);
    return;
  }
  fail("");
  bar.value = 0;
  status.textContent = "Starting …";
  busy(true);
  upload();
});

cancel.addEventListener("click", () => request?.abort());
input.addEventListener("change", () => fail(input.files[0] && tooLarge(input.files[0]) ? form.dataset.tooLarge : ""));

for (const type of ["dragenter", "dragover"]) {
  zone.addEventListener(type, (event) => {
    event.preventDefault();
    zone.classList.add("is-over");
  });
}
for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("is-over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length !== 1) {
    fail("Drop one file at a time.");
    return;
  }
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change"));
});
