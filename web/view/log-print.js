/** A log on paper: all of it up to a limit, however little of it is on screen. */

import { stripAnsi } from '../model/ansi.js';
import { count, dateTime, plural, timeOfDay, zoneText } from '../model/format.js';
import { commandLabel } from '../model/words.js';
import { h } from './dom.js';

/** @typedef {import('../model/types.js').Line} Line */
/** @typedef {import('../model/types.js').Run} Run */
/** Lines that follow each other. @typedef {{first: number, lines: Line[]}} Stretch */

/** Lines of a print, the last ones of the log; some 150 sheets. */
export const MAX_PRINTED = 10_000;
/** Characters of a print: of a log with very long lines there are fewer lines. */
const MAX_CHARACTERS = 2_000_000;
const PIECE = 1000;

export class LogPrint extends HTMLElement {
  #read;
  #held;
  /** @type {Run | null} */
  #run = null;
  #total = 0;
  #asking = false;
  /** @type {AbortController | null} */
  #life = null;

  /** @param {(from: number, limit: number) => Promise<{lines: Line[]}>} read lines of the log @param {() => Stretch} held those that are here */
  constructor(read, held) {
    super();
    this.#read = read;
    this.#held = held;
  }

  connectedCallback() {
    this.#life = new AbortController();
    const { signal } = this.#life;
    // The browser's own command to print does not wait: there is only what was loaded.
    addEventListener('beforeprint', () => this.childElementCount === 0 && this.#fill(this.#held(), true), { signal });
    addEventListener('afterprint', () => this.replaceChildren(), { signal });
  }

  disconnectedCallback() {
    this.#life?.abort();
  }

  /** What a print is of. @param {Run} run @param {number} total lines that its log has */
  update(run, total) {
    this.#run = run;
    this.#total = total;
  }

  /** Reads what is to be printed, then has the browser print it. */
  async ask() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      this.#fill(await this.#last(this.#total), false);
      print();
    } finally {
      this.#asking = false;
    }
  }

  /** The last lines of the log, read from its end. @param {number} total @returns {Promise<Stretch>} */
  async #last(total) {
    /** @type {Line[][]} */
    const pieces = [];
    let [first, characters] = [total, 0];
    while (first > Math.max(0, total - MAX_PRINTED) && characters < MAX_CHARACTERS) {
      const from = Math.max(0, total - MAX_PRINTED, first - PIECE);
      const { lines } = await this.#read(from, first - from);
      pieces.unshift(lines);
      characters += lines.reduce((sum, { line }) => sum + line.length, 0);
      first = from;
    }
    return { first, lines: pieces.flat() };
  }

  /** @param {Stretch} stretch @param {boolean} onlyHeld whether there may be more that was not loaded */
  #fill({ first, lines }, onlyHeld) {
    const run = this.#run;
    if (!run) return;
    const total = this.#total;
    const missing = total - lines.length;
    const why = onlyHeld ? 'they were not loaded. Use Ctrl P or the Print button to print more' : `a print has at most the last ${count(MAX_PRINTED)} lines or ${count(MAX_CHARACTERS / 1e6)} MB. Download the log to get all of it`;
    const digits = String(total).length;
    const text = lines.map(({ line, timestamp }, i) => `${String(first + i + 1).padStart(digits)}  ${timeOfDay(timestamp)}  ${stripAnsi(line)}`);
    this.replaceChildren(
      h('h2', {}, `Log of ${commandLabel(run.command)} on ${run.host_id}`),
      h('p', {}, `Printed ${dateTime(new Date().toISOString())}. Times are ${zoneText(run.started ?? new Date())}. ${missing > 0 ? `Lines ${count(first + 1)} to ${count(first + lines.length)} of ${count(total)}.` : `${plural(total, 'line')}, the whole log${run.completed ? '' : ' so far'}.`}`),
      h('p', { class: 'cut', hidden: missing <= 0 }, `${count(missing)} ${missing === 1 ? 'line is' : 'lines are'} missing here: ${why}.`),
      h('pre', {}, text.join('\n')),
    );
  }
}

customElements.define('sy-print', LogPrint);
