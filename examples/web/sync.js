// Keeps a replica in sync with a hub over a WebSocket, and connects again when the line breaks.

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 10_000;

export class Connection {
  /** "offline" (because we were told so), "connecting", "syncing", "in sync" or "waiting" (to try again). */
  state = "offline";
  /** The hub's replica id, while it is connected. */
  peer = undefined;
  /** What the last session failed of, if it did. */
  problem = undefined;
  /** Called whenever one of these changed. */
  onchange = () => {};

  #replica;
  #address;
  #socket;
  #session;
  #pauseMs = FIRST_PAUSE_MS;
  #timer;

  constructor(replica, address) {
    this.#replica = replica;
    this.#address = address;
    // What is committed while a session runs, goes out at once.
    replica.subscribe(() => this.#flush());
  }

  /** Connects, and stays connected. */
  start() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#session = this.#replica.session();
      this.#flush();
    };
    socket.onmessage = (event) => {
      if (this.#socket === socket) this.#receive(new Uint8Array(event.data));
    };
    socket.onclose = () => {
      if (this.#socket === socket) this.#again();
    };
    this.#socket = socket;
    this.#become("connecting");
  }

  /** Disconnects, and stays so. What is edited meanwhile is sent after the next start. */
  stop() {
    this.#hangUp();
    this.#become("offline");
  }

  #receive(message) {
    this.#step((session) => {
      session.receive(message);
      this.problem = undefined;
      this.#pauseMs = FIRST_PAUSE_MS;
    });
    this.#flush();
  }

  /** Sends what there is to say. */
  #flush() {
    this.#step((session, socket) => {
      for (let message; (message = session.transmit()); ) socket.send(message);
      const { ended, peer } = session.status();
      if (ended) throw new Error(`the session is over: ${ended}`);
      clearTimeout(this.#timer);
      if (session.deadline !== undefined) {
        this.#timer = setTimeout(() => session.expire() && this.#again(), session.deadline - Date.now());
      }
      this.peer = peer?.replica;
      this.#become(session.settled ? "in sync" : "syncing");
    });
  }

  /** Does something with the session, if there is one. If it fails, the next session resumes where this one was. */
  #step(work) {
    if (!this.#session) return;
    try {
      work(this.#session, this.#socket);
    } catch (error) {
      this.problem = error.message;
      this.#again();
    }
  }

  /** The line broke: tries again after a pause, which gets longer while nobody answers. */
  #again() {
    this.#hangUp();
    this.#timer = setTimeout(() => this.start(), this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    this.#become("waiting");
  }

  #hangUp() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = this.#session = this.peer = undefined;
    socket?.close();
  }

  #become(state) {
    this.state = state;
    this.onchange();
  }
}
