/** The output of one derivation as a log of its own: only its lines, with the numbers they have in the run. */

import { CarriedStyles } from '../model/ansi.js';
import { Output } from '../model/derivation.js';
import { ANSWER, lowerBound } from '../model/find.js';
import { lineKind } from '../model/line-kind.js';

/** @typedef {import('../model/types.js').Line} Line */

/** More is not held; the whole log has the rest. */
const MAX_LINES = 100_000;

export class PickedSource {
  ready = false;
  problem = '';
  onChange = (/** @type {() => number} */ _countErrors) => {};
  /** @type {{seq: number, line: string}[]} */
  #matches = [];
  /** @type {number[]} */
  #seqs = [];
  #total = 0;
  #output;
  #asking = false;
  #closed = false;

  /**
   * @param {string} name of the derivation
   * @param {(query: import('../model/find.js').Query, from: number, limit: number) => Promise<{total: number, matches: {seq: number, line: string}[]}>} search
   */
  constructor(name, search) {
    this.name = name;
    this.#output = new Output(name, search);
    const matches = this.#matches;
    const total = () => this.#matches.length;
    const styles = new CarriedStyles();
    this.model = {
      get total() {
        return total();
      },
      /** @param {number} index @returns {Line | undefined} */
      get: (index) => {
        const match = matches[index];
        return match && { line: match.line, timestamp: '', is_error: null };
      },
      /** @param {number} index */
      seqOf: (index) => matches[index]?.seq ?? 0,
      holeLength: () => 0,
      /** @param {number} index */
      styleAt: (index) => {
        for (let match = matches[styles.length]; match && styles.length <= index; match = matches[styles.length]) styles.push({ line: match.line, timestamp: '', is_error: null });
        return styles.at(index);
      },
    };
    void this.more();
  }

  /** How many lines there are, of which all that are not too many are shown. */
  get total() {
    return this.#total;
  }

  /** How many lines there are. */
  get lineTotal() {
    return this.#matches.length;
  }

  /** The index of a line of the run, or -1. @param {number} seq */
  indexOf(seq) {
    const at = lowerBound(this.#seqs, seq);
    return this.#seqs[at] === seq ? at : -1;
  }

  close() {
    this.#closed = true;
  }

  need() {}

  /** @param {number} first @param {number} end @returns {Promise<Line[]>} */
  async lines(first, end) {
    return this.#matches.slice(first, end).map(({ line }) => ({ line, timestamp: '', is_error: null }));
  }

  /** Looks for lines that came since. */
  async more() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      for (;;) {
        const from = (this.#matches.at(-1)?.seq ?? -1) + 1;
        const { total, matches } = await this.#output.find(from, ANSWER);
        if (this.#closed) return;
        this.#matches.push(...matches);
        this.#seqs.push(...matches.map(({ seq }) => seq));
        this.#total = total;
        this.ready = true;
        this.problem = '';
        this.onChange(() => matches.filter(({ line }) => lineKind(line) === 'error').length);
        if (matches.length === 0 || this.#matches.length >= Math.min(total, MAX_LINES)) return;
      }
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      this.onChange(() => 0);
    } finally {
      this.#asking = false;
    }
  }
}
