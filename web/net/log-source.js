/** Fills a log model: the end over the WebSocket, holes over HTTP. */

import { LogModel, PAGE_LINES } from '../model/log.js';
import { lineKind } from '../model/line-kind.js';
import { ApiError } from './api.js';

/** @typedef {import('../model/types.js').Line} Line */

/** Fetches at one time, and how many wait; older wishes are forgotten, for the reader has scrolled on. */
const MAX_FETCHES = 2;
const MAX_WANTED = 4;
/** After an answer without the lines that were asked for, or none: the first pause, and the longest. */
const RETRY_MS = 2000;
const MAX_RETRY_MS = 60_000;

/** The answer to who asks for lines of a log that was removed. */
const GONE = 410;
const GONE_TEXT = 'The log of this run is no longer on the dashboard';

const none = () => 0;

/** Whether an error says that a log was removed: to ask again is of no use. @param {unknown} error */
export function isGone(error) {
  return error instanceof ApiError && error.status === GONE;
}

export class LogSource {
  model = new LogModel();
  /** Whether it is known how many lines there are. */
  ready = false;
  /** What is wrong with the log, in words, or empty. */
  problem = '';
  /** That the log was removed, in words; empty while it is there. */
  gone = '';
  /** How many lines the dashboard has stored, where that was asked; null else. @type {number | null} */
  stored = null;
  /** Called when the model or `problem` changed, with what counts the errors among new lines at the end. */
  onChange = (/** @type {() => number} */ _countErrors) => {};

  #api;
  #host;
  #run;
  #unsubscribe;
  /** @type {number[]} */
  #wanted = [];
  /** @type {Set<number>} */
  #fetching = new Set();
  /** Pages that could not be had, until when they are not asked for again, and how long the pause was. @type {Map<number, {until: number, pause: number}>} */
  #paused = new Map();
  #closed = false;

  /** @param {import('./socket.js').Socket} socket @param {import('./api.js').Api} api @param {string} host @param {string} run */
  constructor(socket, api, host, run) {
    this.#api = api;
    this.#host = host;
    this.#run = run;
    this.#unsubscribe = socket.subscribe({
      host,
      run,
      from: () => (this.model.next > 0 ? this.model.next : -PAGE_LINES),
      onSubscribed: (message) => this.#subscribed(message),
      onOutput: (message) => this.#output(message),
      onError: (detail) => this.#failed(detail),
    });
  }

  close() {
    this.#closed = true;
    this.#unsubscribe();
  }

  /** Fetches what is missing between two lines. @param {number} first @param {number} end exclusive */
  need(first, end) {
    if (this.gone) return;
    for (const page of this.model.holes(first, end)) {
      if ((this.#paused.get(page)?.until ?? 0) > Date.now()) continue;
      if (!this.#fetching.has(page) && !this.#wanted.includes(page)) this.#wanted.push(page);
    }
    this.#wanted.splice(0, this.#wanted.length - MAX_WANTED);
    this.#pump();
  }

  /** Asks for the first line and how many there are, where it is odd that there are none or too few. */
  async check() {
    try {
      this.stored = (await this.#api.lines(this.#host, this.#run, 0, 1)).total;
    } catch (error) {
      this.#failedWith(error);
    }
  }

  /** Lines to copy, held or not. @param {number} first @param {number} end exclusive @returns {Promise<Line[]>} */
  async lines(first, end) {
    const { lines } = await this.#api.lines(this.#host, this.#run, first, end - first);
    return lines;
  }

  /** @param {{total: number}} message */
  #subscribed({ total }) {
    this.problem = '';
    this.#paused.clear();
    this.ready = true;
    this.model.setTotal(total);
    this.onChange(none);
  }

  /** @param {{seq: number, lines: Line[]}} message */
  #output({ seq, lines }) {
    const fresh = lines.slice(Math.max(0, this.model.next - seq));
    this.model.append(seq, lines);
    this.onChange(() => fresh.filter((line) => lineKind(line.line) === 'error').length);
  }

  /** @param {string} detail */
  #failed(detail) {
    this.problem = detail;
    this.onChange(none);
    void this.check();
  }

  /** @param {unknown} error */
  #failedWith(error) {
    this.problem = error instanceof Error ? error.message : String(error);
    if (!(error instanceof ApiError) || !isGone(error) || this.#closed) return;
    if (error.message === error.title) this.problem = GONE_TEXT;
    this.gone = this.problem;
    this.ready = true;
    this.#wanted = [];
    this.#unsubscribe();
    this.onChange(none);
  }

  #pump() {
    while (this.#fetching.size < MAX_FETCHES) {
      const page = this.#wanted.pop();
      if (page === undefined) return;
      void this.#fetch(page);
    }
  }

  /** Does not ask for a page again for a while, longer each time. @param {number} page */
  #pause(page) {
    const before = this.#paused.get(page)?.pause;
    const pause = before === undefined ? RETRY_MS : Math.min(before * 2, MAX_RETRY_MS);
    // Many pages may have lost the same log: they do not come back at the same moment.
    const wait = pause * (1 + Math.random() / 4);
    this.#paused.set(page, { until: Date.now() + wait, pause });
    setTimeout(() => {
      if (!this.#closed && !this.gone) this.onChange(none);
    }, wait + 1);
  }

  /** @param {number} page */
  async #fetch(page) {
    this.#fetching.add(page);
    try {
      const first = this.model.firstHole(page);
      const answer = await this.#api.lines(this.#host, this.#run, first, (page + 1) * PAGE_LINES - first);
      if (this.#closed) return;
      this.model.setTotal(answer.total);
      if (answer.lines.length > 0) {
        this.model.put(answer.first, answer.lines);
        this.#paused.delete(page);
      } else {
        this.#pause(page);
      }
      this.problem = '';
    } catch (error) {
      this.#failedWith(error);
      if (!this.gone) this.#pause(page);
    } finally {
      this.#fetching.delete(page);
    }
    if (this.#closed) return;
    this.onChange(none);
    this.#pump();
  }
}
