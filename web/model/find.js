/**
 * Where something is in a log. The dashboard searches; here is remembered what it found: all of it, or where
 * there is very much, a window around where somebody looks. A count that is not known is null.
 *
 * @typedef {{text: string, regex: boolean, matchCase: boolean}} Query
 * @typedef {(query: Query, from: number, limit: number) => Promise<{total: number, matches: {seq: number}[]}>} Ask
 */

/** The most that one answer may hold. */
export const ANSWER = 10_000;
/** So many answers are asked for to know every place. */
const ANSWERS = 5;
const WINDOW = 2000;

export class Finder {
  /** @type {Query | null} */
  query = null;
  /** How many lines match. @type {number | null} */
  total = null;
  /** Lines that match, in order: all of them from `#from` to the last. @type {number[]} */
  seqs = [];
  /** Why there is no answer, in words. */
  problem = '';
  onChange = () => {};
  #ask;
  #from = 0;
  /** Grows with each query, so that late answers to an older one are dropped. */
  #age = 0;

  /** @param {Ask} ask */
  constructor(ask) {
    this.#ask = ask;
  }

  /** Whether every match is known. */
  get complete() {
    return this.total !== null && this.seqs.length === this.total;
  }

  /** @param {Query | null} query null: nothing */
  async search(query) {
    this.query = query;
    this.total = null;
    this.seqs = [];
    this.#from = 0;
    this.problem = '';
    this.#age++;
    this.onChange();
    await this.more();
  }

  /** Looks again, from behind what is known: the log may have grown. */
  async more() {
    if (this.seqs.length >= ANSWERS * ANSWER) {
      // Enough places are known; how many there are is asked all the same.
      await this.#fetch(this.#end(), 0);
      return this.onChange();
    }
    for (let i = 0; i < ANSWERS; i++) {
      const from = this.#end();
      const answer = await this.#fetch(from, ANSWER);
      if (!answer) return;
      // Elsewhere there is a window meanwhile.
      if (from !== this.#end()) return;
      this.#append(answer.matches);
      this.onChange();
      if (this.#from > 0 || this.complete || answer.matches.length === 0) return;
    }
  }

  /**
   * The next match behind a line, or before it, around the end where needed.
   * @param {number} seq @param {1 | -1} direction @param {number} lines how many the log has
   * @returns {Promise<number | null>} null when there is none
   */
  async step(seq, direction, lines) {
    if (this.total === null) await this.more();
    if (!this.total) return null;
    return direction > 0 ? this.#next(seq) : this.#previous(seq, lines);
  }

  /** Which of all matches a line is, from 1; null where that is not known. @param {number} seq */
  rank(seq) {
    if (this.#from > 0) return null;
    const at = lowerBound(this.seqs, seq);
    return this.seqs[at] === seq ? at + 1 : null;
  }

  /** @param {number} seq @returns {Promise<number | null>} */
  async #next(seq) {
    const known = this.seqs[lowerBound(this.seqs, seq + 1)];
    if (known !== undefined && seq + 1 >= this.#from) return known;
    if (!this.complete) {
      const answer = await this.#fetch(seq + 1, WINDOW);
      if (!answer) return null;
      const first = answer.matches[0];
      if (first) {
        if (seq + 1 !== this.#end()) this.#move(seq + 1);
        this.#append(answer.matches);
        this.onChange();
        return first.seq;
      }
    }
    return seq < 0 ? null : this.#next(-1);
  }

  /** @param {number} seq @param {number} lines @returns {Promise<number | null>} */
  async #previous(seq, lines) {
    const before = this.seqs[lowerBound(this.seqs, seq) - 1];
    if (this.complete) return before ?? this.seqs.at(-1) ?? null;
    const covered = seq >= this.#from && seq <= this.#end();
    if (covered && before !== undefined) return before;
    // From the first match it goes on at the end.
    if (covered && this.#from === 0) return seq >= lines ? null : this.#previous(lines, lines);
    let back = Math.ceil((WINDOW / 2) * (lines / Math.max(1, this.total ?? 1)));
    for (let start = seq; start > 0; back *= 4) {
      start = Math.max(0, seq - back);
      this.#move(start);
      while (this.#end() < seq) {
        const answer = await this.#fetch(this.#end(), WINDOW);
        if (!answer) return null;
        this.#append(answer.matches);
        if (answer.matches.length === 0) break;
      }
      this.onChange();
      const found = lowerBound(this.seqs, seq);
      if (found > 0) return this.seqs[found - 1] ?? null;
    }
    return seq >= lines ? null : this.#previous(lines, lines);
  }

  /** The line behind what is known. */
  #end() {
    const last = this.seqs.at(-1);
    return last === undefined ? this.#from : last + 1;
  }

  /** Another window. @param {number} from */
  #move(from) {
    this.#from = from;
    this.seqs = [];
  }

  /** @param {{seq: number}[]} matches */
  #append(matches) {
    for (const { seq } of matches) this.seqs.push(seq);
  }

  /** @param {number} from @param {number} limit */
  async #fetch(from, limit) {
    const { query } = this;
    const age = this.#age;
    if (!query) return null;
    try {
      const answer = await this.#ask(query, from, limit);
      if (age !== this.#age) return null;
      this.total = answer.total;
      this.problem = '';
      return answer;
    } catch (error) {
      if (age !== this.#age) return null;
      this.problem = error instanceof Error ? error.message : String(error);
      this.onChange();
      return null;
    }
  }
}

/** The first index whose number is not under `value`. @param {number[]} sorted @param {number} value */
export function lowerBound(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (sorted[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
