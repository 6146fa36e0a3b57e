/**
 * Which lines of a log are folded. A folded section shows as one row, its head, where its first line was. A line is
 * known by its number in the run (`seq`), and a row by its place among those that show (`index`).
 *
 * A section is a phase, whose lines are in a row, or the output of a derivation, whose lines may lie among others.
 */

import { derivationOf } from './derivation.js';
import { lowerBound } from './find.js';

/** @typedef {{key: string, glyph: string, label: string, from: number, end: number, failed: boolean}} Section its key is `:0` of the first phase, or the name of a derivation */
/** Hidden lines: where each stretch starts and ends, how many are hidden before it, and the heads of derivations by their lines. @typedef {{starts: number[], ends: number[], before: number[], heads: Map<number, Section>}} Stretches */
/** @typedef {import('./phases.js').PhaseRow} PhaseRow */

/** Of a derivation with more lines, the rest is not folded. */
export const MAX_FOLDED = 100_000;
/** A section from an address may be anybody's idea. */
export const MAX_SECTIONS = 30;

export class Folds {
  /** The phases that have lines, in order; the last one has no end yet. @type {Section[]} */
  phases = [];
  /** @type {Set<string>} */
  #closed = new Set();
  /** The lines of derivations that are folded. @type {Map<string, number[]>} */
  #outputs = new Map();
  /** @type {Stretches | null} */
  #hidden = null;

  /** @param {PhaseRow[]} rows @returns {boolean} whether anything changed */
  setPhases(rows) {
    const phases = rows
      .map(({ glyph, word, seq, failed }, i) => ({ key: `:${i}`, glyph: `${glyph} `, label: word, from: seq, end: rows[i + 1]?.seq ?? Infinity, failed }))
      .filter(({ from, end }) => end > from);
    if (JSON.stringify(phases) === JSON.stringify(this.phases)) return false;
    this.phases = phases;
    this.#hidden = null;
    return true;
  }

  /** The keys of what is folded. */
  get keys() {
    return [...this.#closed, ...this.#outputs.keys()];
  }

  /** @param {string} key */
  isFolded(key) {
    return this.#closed.has(key) || this.#outputs.has(key);
  }

  /** @param {string} key of a phase */
  foldPhase(key) {
    this.#closed.add(key);
    this.#hidden = null;
  }

  /** @param {string} name of a derivation @param {number[]} seqs its lines, in order */
  foldOutput(name, seqs) {
    if (seqs.length === 0) return;
    this.#outputs.set(name, seqs);
    this.#hidden = null;
  }

  /** @param {string} key */
  unfold(key) {
    this.#closed.delete(key);
    this.#outputs.delete(key);
    this.#hidden = null;
  }

  /** A line that has just come, which may belong to a derivation that is folded. @param {number} seq @param {string} line */
  came(seq, line) {
    const seqs = this.#outputs.size > 0 ? this.#outputs.get(derivationOf(line) ?? '') : undefined;
    if (!seqs || seqs.length >= MAX_FOLDED || seq <= (seqs.at(-1) ?? -1)) return;
    seqs.push(seq);
    this.#hidden = null;
  }

  /** Unfolds what hides a line. @param {number} seq */
  reveal(seq) {
    const phase = this.#phaseOver(seq);
    if (phase) this.unfold(phase.key);
    for (const [name, seqs] of this.#outputs) if (seqs[lowerBound(seqs, seq)] === seq) this.unfold(name);
  }

  /** The phase that a line is of. @param {number} seq */
  phaseAt(seq) {
    return this.phases.find(({ from, end }) => seq >= from && seq < end) ?? null;
  }

  /** The folded section whose head is shown in the place of a line. @param {number} seq */
  headAt(seq) {
    if (this.#isOpen) return null;
    const phase = this.#phaseOver(seq);
    if (phase) return phase.from === seq ? phase : null;
    return this.#stretches.heads.get(seq) ?? null;
  }

  /** How many lines a section has. @param {Section} section @param {number} total of the log */
  lines({ key, from, end }, total) {
    return this.#outputs.get(key)?.length ?? Math.max(0, Math.min(end, total) - from);
  }

  /** How many rows there are. @param {number} total lines of the log */
  rows(total) {
    if (this.#isOpen) return total;
    const { starts, ends, before } = this.#stretches;
    const i = lowerBound(starts, total) - 1;
    return i < 0 ? total : total - (before[i] ?? 0) - (Math.min(ends[i] ?? 0, total) - (starts[i] ?? 0));
  }

  /** The line of a row. @param {number} index */
  seqOf(index) {
    if (this.#isOpen) return index;
    const { starts, ends, before } = this.#stretches;
    let [low, high] = [0, starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) - (before[middle] ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    const i = low - 1;
    return i < 0 ? index : index + (before[i] ?? 0) + (ends[i] ?? 0) - (starts[i] ?? 0);
  }

  /** The row of a line; of one that is hidden the row above. @param {number} seq */
  indexOf(seq) {
    if (this.#isOpen) return seq;
    const { starts, ends, before } = this.#stretches;
    const i = lowerBound(starts, seq + 1) - 1;
    if (i < 0) return seq;
    const [start = 0, end = 0, hidden = 0] = [starts[i], ends[i], before[i]];
    return seq < end ? start - hidden - 1 : seq - hidden - (end - start);
  }

  /** Whether a line does not show, or only as the head of others. @param {number} seq */
  isHidden(seq) {
    return !this.#isOpen && (this.seqOf(this.indexOf(seq)) !== seq || this.headAt(seq) !== null);
  }

  /** The first hidden line at or behind a line. @param {number} seq */
  nextHidden(seq) {
    if (this.#isOpen) return Infinity;
    const { starts } = this.#stretches;
    return starts[lowerBound(starts, seq)] ?? Infinity;
  }

  get #isOpen() {
    return this.#closed.size === 0 && this.#outputs.size === 0;
  }

  /** @param {number} seq */
  #phaseOver(seq) {
    const phase = this.#closed.size > 0 ? this.phaseAt(seq) : null;
    return phase && this.#closed.has(phase.key) ? phase : null;
  }

  get #stretches() {
    return (this.#hidden ??= this.#collect());
  }

  #collect() {
    /** @type {Stretches['heads']} */
    const heads = new Map();
    /** @type {[number, number][]} */
    const all = this.phases.filter(({ key }) => this.#closed.has(key)).map(({ from, end }) => [from + 1, end]);
    for (const [name, seqs] of this.#outputs) {
      const own = this.#closed.size > 0 ? seqs.filter((seq) => !this.#phaseOver(seq)) : seqs;
      const [head, ...rest] = own;
      if (head === undefined) continue;
      heads.set(head, { key: name, glyph: '', label: name, from: head, end: (seqs.at(-1) ?? head) + 1, failed: false });
      for (const seq of rest) all.push([seq, seq + 1]);
    }
    return { ...merged(all.sort(([a], [b]) => a - b).filter(([start, end]) => end > start)), heads };
  }
}

/** Stretches that meet become one. @param {[number, number][]} sorted */
function merged(sorted) {
  /** @type {{starts: number[], ends: number[], before: number[]}} */
  const { starts, ends, before } = { starts: [], ends: [], before: [] };
  let hidden = 0;
  for (const [start, end] of sorted) {
    const last = ends.length - 1;
    if (last >= 0 && start <= (ends[last] ?? 0)) {
      const longer = Math.max(ends[last] ?? 0, end);
      hidden += longer - (ends[last] ?? 0);
      ends[last] = longer;
      continue;
    }
    starts.push(start);
    ends.push(end);
    before.push(hidden);
    hidden += end - start;
  }
  return { starts, ends, before };
}
