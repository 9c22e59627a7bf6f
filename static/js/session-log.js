/* The log: follows its end, filters by level, fetches earlier lines. */
const MOST_LINES = 2000;
const EARLIER = 200;

function lineOf(message) {
  const level = message.level ?? message.type;
  const at = new Date(message.at);
  const line = document.createElement("li");
  line.className = `log-line log-${["info", "warning", "error"].includes(level) ? level : "info"}`;
  const time = document.createElement("time");
  time.dateTime = message.at;
  time.title = at.toLocaleString();
  time.textContent = at.toISOString().slice(11, 19);
  const word = document.createElement("span");
  word.className = "log-level";
  word.textContent = level;
  const text = document.createElement("span");
  text.className = "log-message";
  text.textContent = [message.message, message.hint].filter(Boolean).join(" ");
  line.append(time, word, text);
  return line;
}

export class Log {
  constructor(box, events) {
    this.box = box;
    this.events = events;
    this.lines = box.querySelector("#log-lines");
    this.earlier = box.querySelector("#log-earlier");
    this.follow = document.getElementById("log-follow");
    this.earlier.addEventListener("click", () => this.loadEarlier());
    document.getElementById("log-level").addEventListener("change", (event) => this.filter(event.target.value));
    this.follow.addEventListener("change", () => this.toEnd());
    box.addEventListener("wheel", () => this.lookAtScroll(), { passive: true });
  }

  /* Scrolling up by hand is a wish to stay there. */
  lookAtScroll() {
    requestAnimationFrame(() => {
      this.follow.checked = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 40;
    });
  }

  filter(level) {
    this.box.dataset.level = level;
    this.toEnd();
  }

  add(message) {
    document.getElementById("log-empty").hidden = true;
    this.lines.append(lineOf(message));
    if (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild.remove();
    this.toEnd();
  }

  toEnd() {
    if (this.follow.checked) this.box.scrollTop = this.box.scrollHeight;
  }

  async loadEarlier() {
    const response = await fetch(`${this.events}?kinds=log,error&limit=${EARLIER}&before=${this.box.dataset.oldest}`);
    if (!response.ok) return;
    const { events } = await response.json();
    const height = this.box.scrollHeight;
    this.lines.prepend(...events.map(lineOf));
    this.box.scrollTop += this.box.scrollHeight - height;
    if (events.length) this.box.dataset.oldest = events[0].seq;
    this.earlier.hidden = events.length < EARLIER;
  }
}
