/* What every page needs: Tabler's components, theme switch, tooltips, copy buttons, toasts, relative times. */
import "../vendor/tabler.js";

const THEMES = ["system", "light", "dark"];

function labelThemeSwitch() {
  const label = `Theme: ${window.loracraftTheme.choice()}`;
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.setAttribute("aria-label", label);
    button.title = label;
  }
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(window.loracraftTheme.choice()) + 1) % THEMES.length];
  window.loracraftTheme.choose(next);
  labelThemeSwitch();
}

/* One tooltip for the whole page, placed by hand: it works for content that htmx swaps in, too. */
const tip = document.getElementById("tip");
let tipOwner = null;

function showTip(owner) {
  hideTip();
  tipOwner = owner;
  tip.textContent = owner.dataset.tip;
  tip.hidden = false;
  owner.setAttribute("aria-describedby", "tip");
  const box = owner.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
}

function hideTip() {
  tipOwner?.removeAttribute("aria-describedby");
  tipOwner = null;
  tip.hidden = true;
}

for (const [show, hide] of [
  ["mouseover", "mouseout"],
  ["focusin", "focusout"],
]) {
  document.addEventListener(show, (event) => {
    const owner = event.target.closest?.("[data-tip]");
    if (owner) showTip(owner);
  });
  document.addEventListener(hide, (event) => {
    if (event.target.closest?.("[data-tip]") === tipOwner) hideTip();
  });
}
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
document.addEventListener("scroll", hideTip, { capture: true, passive: true });

export function toast(message, level = "info") {
  const box = document.createElement("div");
  box.className = `lc-toast lc-toast-${level}`;
  box.setAttribute("role", level === "error" ? "alert" : "status");
  const text = document.createElement("span");
  text.textContent = message;
  box.append(text);
  document.getElementById("toasts").append(box);
  if (level !== "error") setTimeout(() => box.remove(), 5000);
  else box.addEventListener("click", () => box.remove());
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.", "success");
  } catch {
    toast(`This browser does not let the page copy. The text is: ${text}`, "error");
  }
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-switch]")) nextTheme();
  const copied = event.target.closest("[data-copy]");
  if (copied) copy(copied.dataset.copy);
  event.target.closest("[data-dismiss-toast]")?.closest("[data-toast]").remove();
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  event.target.closest("[data-closes]")?.closest("dialog").close();
});

/* What must be saved before a form of the page is sent: stepper.js hands it in. */
let flush = null;
export function flushBefore(save) {
  flush = save;
}

/* A form that destroys something asks first: <form data-confirm="Delete it?" data-confirm-text="..." data-confirm-button="Delete">. */
function ask(question, more, go) {
  const dialog = document.createElement("dialog");
  dialog.className = "lc-dialog";
  const title = document.createElement("h2");
  title.textContent = question;
  const text = document.createElement("p");
  text.textContent = more || "";
  text.hidden = !text.textContent;
  const buttons = document.createElement("form");
  buttons.method = "dialog";
  buttons.className = "btn-row";
  for (const [value, words, css] of [
    ["", "Keep it", "btn btn-quiet"],
    ["yes", go || "Go on", "btn btn-danger-solid"],
  ]) {
    const button = document.createElement("button");
    Object.assign(button, { value, textContent: words, className: css });
    buttons.append(button);
  }
  title.id = "dialog-title";
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.append(title, text, buttons);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/* What htmx sends asks in the same way: hx-confirm, data-confirm-text, data-confirm-button. */
document.addEventListener("htmx:confirm", async (event) => {
  const { question, elt, issueRequest } = event.detail;
  if (!question) return;
  event.preventDefault();
  if (await ask(question, elt.dataset.confirmText, elt.dataset.confirmButton)) issueRequest(true);
});

function askOf(form) {
  const { confirm, confirmText, confirmButton } = form.dataset;
  return ask(confirm, confirmText, confirmButton || form.querySelector("[type=submit]")?.textContent.trim());
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const asks = form.dataset.confirm && !form.dataset.confirmed;
  const waits = flush && "beforeLeave" in form.dataset && !form.dataset.flushed;
  if (!asks && !waits) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (asks && !(await askOf(form))) return;
  if (waits) await flush().catch(() => toast("The draft could not be saved.", "error"));
  // A form can't be sent again while its own submit event is still being handled.
  await new Promise((resolve) => setTimeout(resolve));
  form.dataset.confirmed = form.dataset.flushed = "yes";
  form.requestSubmit(event.submitter);
  delete form.dataset.confirmed;
  delete form.dataset.flushed;
}, { capture: true });

/* A form that is being sent is not sent again: a double click is one click. */
const SENDING_MS = 8000;

function setSending(form, button, sending) {
  form.toggleAttribute("data-sending", sending);
  if (sending) button?.setAttribute("aria-disabled", "true");
  else button?.removeAttribute("aria-disabled");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("data-sending")) return event.preventDefault();
  // Handlers of other scripts have their say first: what they send themselves never leaves the page.
  setTimeout(() => {
    if (event.defaultPrevented || form.method !== "post") return;
    setSending(form, event.submitter, true);
    setTimeout(() => setSending(form, event.submitter, false), SENDING_MS);
  });
});

window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sending]")) setSending(form, form.querySelector("[aria-disabled]"), false);
});

for (const box of document.querySelectorAll("[data-toast]:not(.lc-toast-error)")) {
  // What can be undone stays longer.
  setTimeout(() => box.remove(), box.querySelector("form") ? 15_000 : 6000);
}

/* The same words as the template filter relative_time. */
const UNITS = [
  [86400 * 365, "y"],
  [86400 * 30, "mo"],
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

export function timeAgo(seconds) {
  const amount = Math.abs(seconds);
  if (amount < 10) return "just now";
  const [size, unit] = UNITS.find(([size]) => amount >= size);
  const text = `${Math.floor(amount / size)} ${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    element.textContent = timeAgo((Date.now() - Date.parse(element.dateTime)) / 1000);
  }
}
setInterval(refreshTimes, 10_000);

document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 403) toast("Your role does not allow this, or you were signed out. Reload the page.", "error");
  else if (status >= 500) toast("The server could not answer. Nothing was changed; try again.", "error");
});
document.addEventListener("htmx:sendError", (event) => {
  const polled = event.detail.requestConfig.verb === "get";
  if (!polled) toast("The server can't be reached. Is it running?", "error");
});

/* On a phone the chosen tab may be at the far end of the strip. */
document.querySelector(".nav-tabs .active")?.scrollIntoView({ block: "nearest", inline: "nearest" });

labelThemeSwitch();
