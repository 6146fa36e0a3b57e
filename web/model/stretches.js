/** Stretches of hidden lines, in order, with how many lines are hidden before each. */

import { lowerBound } from './find.js';

export class Stretches {
  /** @type {number[]} */
  #starts = [];
  /** @type {number[]} */
  #ends = [];
  /** @type {number[]} */
  #before = [];

  /**
   * Adds a stretch that does not start before the last one; those that meet become one.
   * @param {number} start @param {number} end exclusive
   */
  add(start, end) {
    const last = this.#ends.length - 1;
    const lastEnd = this.#ends[last] ?? -1;
    if (last >= 0 && start <= lastEnd) {
      this.#ends[last] = Math.max(lastEnd, end);
      return;
    }
    this.#starts.push(start);
    this.#ends.push(end);
    this.#before.push(last < 0 ? 0 : (this.#before[last] ?? 0) + lastEnd - (this.#starts[last] ?? 0));
  }

  /** Where the last one starts. */
  get lastStart() {
    return this.#starts.at(-1) ?? -1;
  }

  /** How many lines are shown of so many. @param {number} total */
  shown(total) {
    const i = lowerBound(this.#starts, total) - 1;
    return i < 0 ? total : total - (this.#before[i] ?? 0) - (Math.min(this.#ends[i] ?? 0, total) - (this.#starts[i] ?? 0));
  }

  /** The line of a row. @param {number} index */
  seqOf(index) {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) - (this.#before[middle] ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    const i = low - 1;
    return i < 0 ? index : index + (this.#before[i] ?? 0) + (this.#ends[i] ?? 0) - (this.#starts[i] ?? 0);
  }

  /** The row of a line; of one that is hidden the row above. @param {number} seq */
  indexOf(seq) {
    const i = lowerBound(this.#starts, seq + 1) - 1;
    if (i < 0) return seq;
    const [start = 0, end = 0, hidden = 0] = [this.#starts[i], this.#ends[i], this.#before[i]];
    return seq < end ? start - hidden - 1 : seq - hidden - (end - start);
  }

  /** Where the first one at or behind a line starts. @param {number} seq */
  next(seq) {
    return this.#starts[lowerBound(this.#starts, seq)] ?? Infinity;
  }
}
