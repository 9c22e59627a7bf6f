/* Text areas that hold Python, as editors: colours and line numbers below the text, a marked line, Tab and Return that
   indent. The text area itself is what one types in and what the form sends: without this module it is all there is. */
import hljs from "../vendor/highlight.js";
import python from "../vendor/highlight-python.js";

const INDENT = 4;
hljs.registerLanguage("python", python);

function element(name, className) {
  const made = document.createElement(name);
  made.className = className;
  made.setAttribute("aria-hidden", "true");
  return made;
}

function make(box) {
  if (box.classList.contains("is-live")) return;
  const area = box.querySelector("textarea");
  const numbers = element("div", "code-numbers");
  const marked = element("pre", "code-marked");
  const shown = element("pre", "code-shown");
  box.prepend(numbers, marked, shown);
  box.classList.add("is-live");
  box.paint = () => paint(box, area, { numbers, marked, shown });
  area.addEventListener("input", box.paint);
  area.addEventListener("keydown", (event) => onKey(event, area));
  area.addEventListener("blur", () => delete area.dataset.leaving);
  box.paint();
  const part = box.closest("[data-part]");
  for (const hidden of part?.querySelectorAll("[data-code-keys], [data-code-example]") ?? []) hidden.hidden = false;
}

function paint(box, area, { numbers, marked, shown }) {
  shown.innerHTML = `${hljs.highlight(area.value, { language: "python" }).value}\n`;
  const count = area.value.split("\n").length;
  while (numbers.children.length > count) numbers.lastChild.remove();
  while (numbers.children.length < count) {
    const number = document.createElement("span");
    number.textContent = numbers.children.length + 1;
    numbers.append(number);
  }
  mark(box, area, numbers, marked);
}

/* The server says the line, in the element that also says what went wrong there. */
function mark(box, area, numbers, marked) {
  const line = Number(document.getElementById(box.dataset.problem)?.dataset.line);
  for (const [place, number] of [...numbers.children].entries()) {
    number.classList.toggle("is-wrong", place + 1 === line);
  }
  marked.hidden = !line || line > numbers.children.length;
  if (marked.hidden) {
    area.removeAttribute("aria-invalid");
    return;
  }
  area.setAttribute("aria-invalid", "true");
  marked.textContent = "\n".repeat(line - 1);
  marked.append(document.createElement("span"));
}

/* Typed as by the keyboard, so that the browser can undo it. */
function type(area, text) {
  const command = text ? "insertText" : "delete";
  if (document.execCommand(command, false, text)) return;
  area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

function onKey(event, area) {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  const leaving = "leaving" in area.dataset;
  if (event.key !== "Shift") delete area.dataset.leaving;
  if (event.key === "Escape") area.dataset.leaving = "";
  if (event.key === "Tab" && !leaving) indent(event, area);
  if (event.key === "Enter" && !event.shiftKey) newLine(event, area);
  if (event.key === "Backspace") unindent(event, area);
}

function lineStart(area, at) {
  return area.value.lastIndexOf("\n", at - 1) + 1;
}

function indent(event, area) {
  event.preventDefault();
  const { selectionStart: start, selectionEnd: end, value } = area;
  if (event.shiftKey || value.slice(start, end).includes("\n")) {
    shift(area, event.shiftKey);
    return;
  }
  const column = start - lineStart(area, start);
  type(area, " ".repeat(INDENT - (column % INDENT)));
}

/* Whole lines, to the right or to the left. */
function shift(area, left) {
  const { selectionStart: start, selectionEnd: end, value } = area;
  const from = lineStart(area, start);
  const last = end > start && value[end - 1] === "\n" ? end - 1 : end;
  const to = value.indexOf("\n", last) < 0 ? value.length : value.indexOf("\n", last);
  const lines = value.slice(from, to);
  const text = left ? lines.replace(/^(?: {1,4}|\t)/gm, "") : lines.replace(/^(?=.)/gm, " ".repeat(INDENT));
  if (text === lines) return;
  area.setSelectionRange(from, to);
  type(area, text);
  if (start === end) area.setSelectionRange(...Array(2).fill(Math.max(from, start + text.length - lines.length)));
  else area.setSelectionRange(from, from + text.length);
}

/* As deep as the line before, and deeper below a colon. */
function newLine(event, area) {
  event.preventDefault();
  const start = area.selectionStart;
  const line = area.value.slice(lineStart(area, start), start);
  const margin = line.match(/^[ \t]*/)[0];
  type(area, `\n${margin}${/:\s*(#.*)?$/.test(line) ? " ".repeat(INDENT) : ""}`);
}

function unindent(event, area) {
  const { selectionStart: start, selectionEnd: end } = area;
  const line = area.value.slice(lineStart(area, start), start);
  if (start !== end || !/^ {2,}$/.test(line)) return;
  event.preventDefault();
  area.setSelectionRange(start - (line.length % INDENT || INDENT), start);
  type(area, "");
}

/* An example replaces the code, as if it were pasted over it: undo brings the code back. */
function take(button) {
  const area = document.getElementById(button.dataset.codeExample);
  area.focus();
  area.select();
  type(area, button.closest(".code-example").querySelector("pre").textContent);
  area.setSelectionRange(0, 0);
}

function all(what) {
  for (const box of document.querySelectorAll("[data-code-editor]")) what(box);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-code-example]");
  if (button) take(button);
});
document.addEventListener("htmx:load", () => all(make));
/* The answer to a live score says which line failed; a page from the browser's memory brings its text along. */
document.addEventListener("htmx:afterSettle", () => all((box) => box.paint?.()));
window.addEventListener("pageshow", () => all((box) => box.paint?.()));
all(make);
