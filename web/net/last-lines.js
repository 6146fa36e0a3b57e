/**
 * The last line of each running run on screen. Reading whole logs for that would be much for a fleet, so once
 * a second each is asked for its end and let go again.
 */

/** @typedef {import('../model/types.js').Line} Line */
/** @typedef {{line: string, total: number}} LastLine */

const INTERVAL = 1000;

export class LastLines {
  #socket;
  /** @type {Map<string, {host: string, run: string, last: LastLine | null, end: (() => void) | null}>} */
  #watched = new Map();
  /** @type {(host: string) => void} */
  onLine = () => {};

  /** @param {import('./socket.js').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    this.timer = setInterval(() => this.#round(), INTERVAL);
  }

  close() {
    clearInterval(this.timer);
    for (const watched of this.#watched.values()) watched.end?.();
    this.#watched.clear();
  }

  /** @param {string} host @param {string | null} run null: no longer */
  watch(host, run) {
    const watched = this.#watched.get(host);
    if (watched?.run === run) return;
    watched?.end?.();
    this.#watched.delete(host);
    if (!run) return;
    this.#watched.set(host, { host, run, last: null, end: null });
    this.#peek(host);
  }

  /** @param {string} host @returns {LastLine | null} */
  get(host) {
    return this.#watched.get(host)?.last ?? null;
  }

  #round() {
    if (document.hidden) return;
    for (const host of this.#watched.keys()) this.#peek(host);
  }

  /** @param {string} host */
  #peek(host) {
    const watched = this.#watched.get(host);
    if (!watched || watched.end) return;
    let total = 0;
    const finish = () => {
      watched.end?.();
      watched.end = null;
    };
    watched.end = this.#socket.subscribe({
      host,
      run: watched.run,
      from: () => -1,
      onSubscribed: (message) => {
        total = message.total;
        if (total === 0) finish();
      },
      onOutput: (message) => {
        /** @type {Line[]} */
        const lines = message.lines;
        finish();
        const line = lines.findLast(({ line }) => line.trim() !== '')?.line;
        if (line === undefined) return;
        watched.last = { line, total: Math.max(total, message.seq + lines.length) };
        this.onLine(host);
      },
      onError: finish,
    });
  }
}
