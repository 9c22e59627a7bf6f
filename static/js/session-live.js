/* Everything that happens after the page was made, in order and once: by socket, or by asking where sockets fail. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const TRIES_BEFORE_ASKING = 3;
const ASK_EVERY = 1_500;
const WATCH_EVERY = 4_000;
/* The server's own: no access any more, no such session. */
const REFUSED = [4401, 4403, 4404];

export class Live {
  constructor({ socket, events, seq, onMessage, onState, onConnection }) {
    Object.assign(this, { events, seq, onMessage, onState, onConnection });
    this.address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${socket}`;
    this.tries = 0;
    this.ended = false;
    this.staleAt = null;
  }

  start() {
    this.connect();
    this.watching = setInterval(() => this.watch(), WATCH_EVERY);
  }

  async stop() {
    this.ended = true;
    clearInterval(this.watching);
    clearTimeout(this.retrying);
    clearInterval(this.asking);
    this.socket?.close();
    await this.catchUp();
    this.onConnection("ended");
  }

  connect() {
    if (this.ended) return;
    if (this.tries === 0) this.onConnection("connecting");
    this.socket = new WebSocket(`${this.address}?after=${this.seq}`);
    this.socket.addEventListener("open", () => this.opened());
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.closed(event.code));
  }

  opened() {
    this.tries = 0;
    clearInterval(this.asking);
    this.asking = null;
    this.onConnection("live");
  }

  closed(code) {
    if (this.ended) return;
    if (REFUSED.includes(code)) {
      this.ended = true;
      clearInterval(this.watching);
      this.onConnection("refused");
      return;
    }
    this.tries += 1;
    if (this.tries >= TRIES_BEFORE_ASKING && !this.asking) this.startAsking();
    else if (!this.asking) this.onConnection("connecting");
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.tries - 1));
    this.retrying = setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
  }

  startAsking() {
    this.asking = setInterval(() => this.catchUp(), ASK_EVERY);
    this.catchUp();
  }

  receive(message) {
    if (!Number.isInteger(message.seq) || message.seq <= this.seq) return;
    this.seq = message.seq;
    this.onMessage(message);
  }

  async ask(query) {
    try {
      const response = await fetch(`${this.events}?${query}`, { headers: { Accept: "application/json" } });
      if (!response.ok || response.redirected) throw new Error(`${response.status}`);
      return await response.json();
    } catch (problem) {
      console.warn("The events could not be asked for:", problem);
      if (this.asking) this.onConnection("offline");
      return null;
    }
  }

  /* One at a time: a slow answer must not be overtaken by the next question. */
  async catchUp() {
    if (this.catching) return;
    this.catching = true;
    for (let reply = await this.ask(`after=${this.seq}`); reply; reply = await this.ask(`after=${this.seq}`)) {
      if (this.asking && !this.ended) this.onConnection("polling");
      for (const message of reply.events) this.receive(message);
      this.onState(reply);
      if (!reply.events.length) break;
    }
    this.catching = false;
  }

  /* The status changes without an event, too; and a socket can be open and dead. */
  async watch() {
    if (this.asking || this.catching) return;
    const before = this.seq;
    const reply = await this.ask("kinds=phase&limit=1");
    if (!reply || this.ended) return;
    this.onState(reply);
    const stale = reply.last_seq > this.seq && this.seq === before;
    if (stale && this.staleAt === this.seq) this.socket?.close();
    this.staleAt = stale ? this.seq : null;
  }
}
