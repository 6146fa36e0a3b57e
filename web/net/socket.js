/**
 * The one WebSocket of the page. It comes back by itself, and each subscription then goes on with the line
 * behind the last one it has.
 *
 * @typedef {object} Subscription
 * @property {string} host
 * @property {string} run
 * @property {() => number} from the next line wanted; negative counts from the end
 * @property {(message: any) => void} onSubscribed
 * @property {(message: any) => void} onOutput
 * @property {(detail: string) => void} [onError]
 *
 * @typedef {{state: 'closed' | 'connecting' | 'open', retryAt: null} | {state: 'waiting', retryAt: number}} Connection
 */

const FIRST_DELAY = 1000;
const MAX_DELAY = 15_000;
/** The dashboard sends something at least every 10 s. */
const SILENCE = 30_000;
/** The dashboard closed it because this user may not, or no longer, be here. */
const UNWELCOME = 4403;

export class Socket {
  /** @type {Connection} */
  connection = { state: 'closed', retryAt: null };
  /** Every message that belongs to no subscription. @type {(message: any) => void} */
  onMessage = () => {};
  /** @type {() => void} */
  onConnection = () => {};
  /** Asked before each attempt after a failure; false ends the attempts. @type {() => Promise<boolean>} */
  mayRetry = async () => true;

  /** When the last frame came; null before the first. @type {Date | null} */
  heardAt = null;
  #heard = 0;
  #url;
  #dial;
  /** @type {WebSocket | null} */
  #ws = null;
  #delay = FIRST_DELAY;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;
  /** @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  #lastSub = 0;
  /** Hosts whose metrics are on screen. @type {Set<string>} */
  #measured = new Set();

  /** @param {string} url @param {(url: string) => WebSocket} dial */
  constructor(url, dial = (u) => new WebSocket(u)) {
    this.#url = url;
    this.#dial = dial;
  }

  connect() {
    this.#drop();
    this.#set({ state: 'connecting', retryAt: null });
    const ws = this.#dial(this.#url);
    this.#ws = ws;
    ws.onopen = () => this.#opened();
    ws.onmessage = (event) => this.#received(event.data);
    ws.onclose = (event) => this.#closed(event?.code);
    this.#listenForSilence();
  }

  /** Ends the connection and all attempts. */
  close() {
    this.#drop();
    this.#set({ state: 'closed', retryAt: null });
  }

  #drop() {
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    const ws = this.#ws;
    this.#ws = null;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
  }

  /** For how long no frame has come, in ms. */
  get silentFor() {
    return performance.now() - this.#heard;
  }

  /** Does not wait for the next attempt, or for a connection that is silent. */
  retryNow() {
    if (this.connection.state === 'waiting' || this.connection.state === 'open') this.connect();
  }

  /** @param {Subscription} subscription @returns {() => void} ends it */
  subscribe(subscription) {
    const sub = `s${++this.#lastSub}`;
    this.#subscriptions.set(sub, subscription);
    this.#ask(sub, subscription);
    return () => {
      if (this.#subscriptions.delete(sub)) this.#send({ type: 'unsubscribe', sub });
    };
  }

  /** The metrics of this host are shown: they come within a second, those of others when there is room. @param {string} host @returns {() => void} ends it */
  watchMetrics(host) {
    this.#measured.add(host);
    this.#measure();
    return () => {
      if (this.#measured.delete(host)) this.#measure();
    };
  }

  #measure() {
    this.#send({ type: 'watch_metrics', hosts: [...this.#measured] });
  }

  /** @param {string} sub @param {Subscription} s */
  #ask(sub, s) {
    this.#send({ type: 'subscribe', sub, host_id: s.host, run_id: s.run, from: s.from() });
  }

  /** What is not sent now is sent when the connection is there. @param {object} message */
  #send(message) {
    if (this.connection.state === 'open') this.#ws?.send(JSON.stringify(message));
  }

  #opened() {
    this.#delay = FIRST_DELAY;
    this.#heard = performance.now();
    this.#set({ state: 'open', retryAt: null });
    for (const [sub, subscription] of this.#subscriptions) this.#ask(sub, subscription);
    if (this.#measured.size > 0) this.#measure();
  }

  /** @param {unknown} data */
  #received(data) {
    this.#listenForSilence();
    this.#heard = performance.now();
    this.heardAt = new Date();
    let frame;
    try {
      frame = JSON.parse(String(data));
    } catch {
      return;
    }
    for (const message of Array.isArray(frame) ? frame : [frame]) this.#dispatch(message);
  }

  /** @param {any} message */
  #dispatch(message) {
    if (typeof message?.sub !== 'string') return this.onMessage(message);
    const subscription = this.#subscriptions.get(message.sub);
    if (message.type === 'subscribed') subscription?.onSubscribed(message);
    else if (message.type === 'command_output') subscription?.onOutput(message);
    else if (message.type === 'error') subscription?.onError?.(String(message.detail));
  }

  #listenForSilence() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#drop();
      this.#closed();
    }, SILENCE);
  }

  /** @param {number} [code] */
  #closed(code) {
    clearTimeout(this.#silence);
    this.#ws = null;
    // Whoever was signed out is told at once.
    const delay = code === UNWELCOME ? 0 : this.#delay * (0.5 + Math.random() / 2);
    this.#delay = Math.min(this.#delay * 2, MAX_DELAY);
    this.#set({ state: 'waiting', retryAt: Date.now() + delay });
    this.#retry = setTimeout(() => void this.#tryAgain(), delay);
  }

  async #tryAgain() {
    if (await this.mayRetry()) {
      if (this.connection.state === 'waiting') this.connect();
    }
  }

  /** @param {Connection} connection */
  #set(connection) {
    this.connection = connection;
    this.onConnection();
  }
}
