/* The log: follows its end, filters by level and words, fetches earlier lines. What is filtered is asked of the server,
   which has all lines; the same rule then judges the ones that arrive. */
const MOST_LINES = 2000;
const AT_ONCE = 200;
const TYPING = 250;
const LEVELS = ["info", "warning", "error"];

function levelOf(message) {
  const level = message.level ?? message.type;
  return LEVELS.includes(level) ? level : "info";
}

function textOf(message) {
  return [message.message, message.hint].filter(Boolean).join(" ");
}

function element(tag, css, ...children) {
  const made = document.createElement(tag);
  made.className = css;
  made.append(...children);
  return made;
}

/* `text` with each place of `words` marked. */
function marked(text, words) {
  if (!words) return [text];
  const [low, parts] = [text.toLowerCase(), []];
  let from = 0;
  for (let at = low.indexOf(words); at >= 0; at = low.indexOf(words, from)) {
    parts.push(text.slice(from, at), element("mark", "", text.slice(at, at + words.length)));
    from = at + words.length;
  }
  return [...parts, text.slice(from)];
}

function lineOf(message, words) {
  const at = new Date(message.at);
  const time = element("time", "", at.toLocaleTimeString([], { hour12: false }));
  time.dateTime = message.at;
  time.title = at.toLocaleString();
  const level = element("span", "log-level", levelOf(message));
  const text = element("span", "log-message", ...marked(textOf(message), words));
  const line = element("li", `log-line log-${levelOf(message)}`, time, level, text);
  line.dataset.seq = message.seq;
  return line;
}

export class Log {
  constructor(box, address) {
    this.box = box;
    this.address = address;
    this.lines = box.querySelector("#log-lines");
    this.earlier = box.querySelector("#log-earlier");
    this.empty = box.querySelector("#log-empty");
    this.follow = document.getElementById("log-follow");
    this.level = document.getElementById("log-level");
    this.search = document.getElementById("log-search");
    this.newest = Number(box.dataset.newest);
    this.oldest = Number(box.dataset.oldest);
    this.arrived = [];
    this.asked = 0;
    this.seen = 0;
    this.earlier.addEventListener("click", () => this.loadEarlier());
    this.level.addEventListener("change", () => this.filter());
    this.search.addEventListener("input", () => this.filterSoon());
    this.follow.addEventListener("change", () => this.toEnd());
    box.addEventListener("scroll", () => this.lookAtScroll(), { passive: true });
    if (this.words || this.level.value !== "info") this.filter();
  }

  get words() {
    return this.search.value.trim().toLowerCase();
  }

  get query() {
    const asked = new URLSearchParams({ kinds: "log,error", limit: AT_ONCE });
    if (this.level.value !== "info") asked.set("level", this.level.value);
    if (this.words) asked.set("search", this.words);
    return asked;
  }

  wanted(message) {
    const grave = LEVELS.indexOf(levelOf(message)) >= LEVELS.indexOf(this.level.value);
    return grave && textOf(message).toLowerCase().includes(this.words);
  }

  /* Scrolling up by hand is a wish to stay there, scrolling to the end one to go along. */
  lookAtScroll() {
    const { scrollTop, clientHeight, scrollHeight } = this.box;
    const up = scrollTop < this.seen - 2;
    const byHand = !this.placing;
    this.seen = scrollTop;
    if (!byHand) return;
    if (up) this.follow.checked = false;
    else if (scrollTop + clientHeight >= scrollHeight - 4) this.follow.checked = true;
  }

  /* What moves the lines is no wish of a person. */
  place(move) {
    this.placing = true;
    move();
    requestAnimationFrame(() => requestAnimationFrame(() => (this.placing = false)));
  }

  filterSoon() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.filter(), TYPING);
  }

  async filter() {
    clearTimeout(this.typing);
    const asked = (this.asked += 1);
    this.loading = true;
    const events = await this.ask(this.query);
    if (asked !== this.asked) return;
    this.loading = false;
    if (events) this.replace(events);
    const waiting = this.arrived.splice(0);
    for (const message of waiting) this.add(message);
  }

  replace(events) {
    this.place(() => {
      this.lines.replaceChildren(...events.map((event) => lineOf(event, this.words)));
      this.oldest = events[0]?.seq ?? 0;
      this.newest = events.at(-1)?.seq ?? this.newest;
      this.earlier.hidden = events.length < AT_ONCE;
    });
    this.showEmpty();
    this.toEnd();
  }

  showEmpty() {
    this.empty.hidden = this.lines.childElementCount > 0;
    this.empty.textContent = this.words || this.level.value !== "info" ? "No line of the log is like that." : "Nothing logged yet.";
  }

  add(message) {
    if (this.loading) return this.arrived.push(message);
    if (message.seq <= this.newest) return;
    this.newest = message.seq;
    if (!this.wanted(message)) return;
    this.oldest ||= message.seq;
    this.place(() => {
      this.lines.append(lineOf(message, this.words));
      if (this.lines.childElementCount > MOST_LINES) this.dropFirst();
    });
    this.showEmpty();
    this.toEnd();
  }

  /* It can be fetched again. */
  dropFirst() {
    this.lines.firstElementChild.remove();
    this.oldest = Number(this.lines.firstElementChild.dataset.seq);
    this.earlier.hidden = false;
  }

  toEnd() {
    if (this.follow.checked) this.place(() => (this.box.scrollTop = this.box.scrollHeight));
    this.seen = this.box.scrollTop;
  }

  async ask(query) {
    try {
      const response = await fetch(`${this.address}?${query}`);
      if (response.ok) return (await response.json()).events;
      console.warn("The log could not be loaded:", response.status);
    } catch (problem) {
      console.warn("The log could not be loaded:", problem);
    }
    return null;
  }

  async loadEarlier() {
    const query = this.query;
    query.set("before", this.oldest);
    const asked = this.asked;
    const events = await this.ask(query);
    if (!events || asked !== this.asked) return;
    this.follow.checked = false;
    this.place(() => {
      const height = this.box.scrollHeight;
      this.lines.prepend(...events.map((event) => lineOf(event, this.words)));
      this.box.scrollTop += this.box.scrollHeight - height;
    });
    if (events.length) this.oldest = events[0].seq;
    this.earlier.hidden = events.length < AT_ONCE;
  }
}
