/**
 * Which lines of a log are folded. A folded section shows as one row, its head, where its first line was. A line is
 * known by its number in the run (`seq`), and a row by its place among those that show (`index`).
 *
 * A section is a phase, whose lines are in a row, or the output of a derivation, whose lines may lie among others.
 */

import { derivationOf } from './derivation.js';
import { lowerBound } from './find.js';
import { Stretches } from './stretches.js';

/** @typedef {{key: string, glyph: string, label: string, from: number, end: number, failed: boolean}} Section its key is `:0` of the first phase, or the name of a derivation */
/** Hidden lines, and the heads of derivations by their lines and by their names. @typedef {{stretches: Stretches, heads: Map<number, Section>, named: Map<string, Section>}} Hidden */
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
  /** The names of derivations by those that their lines have. @type {Map<string, string>} */
  #names = new Map();
  /** Worked out when it is asked for. @type {Hidden | null} */
  #collected = null;

  /** @param {PhaseRow[]} rows @returns {boolean} whether anything changed */
  setPhases(rows) {
    const phases = rows
      .map(({ glyph, word, seq, failed }, i) => ({ key: `:${i}`, glyph: `${glyph} `, label: word, from: seq, end: rows[i + 1]?.seq ?? Infinity, failed }))
      .filter(({ from, end }) => end > from);
    if (JSON.stringify(phases) === JSON.stringify(this.phases)) return false;
    this.phases = phases;
    this.#collected = null;
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
    this.#collected = null;
  }

  /** @param {string} name of a derivation @param {number[]} seqs its lines, in order @param {string} [printed] the name that they have */
  foldOutput(name, seqs, printed = name) {
    if (seqs.length === 0) return;
    this.#names.set(printed, name);
    this.#outputs.set(name, seqs);
    this.#collected = null;
  }

  /** @param {string} key */
  unfold(key) {
    this.#closed.delete(key);
    this.#outputs.delete(key);
    this.#collected = null;
  }

  /** A line that has just come, which may belong to a derivation that is folded. @param {number} seq @param {string} line */
  came(seq, line) {
    const name = (this.#outputs.size > 0 && this.#names.get(derivationOf(line) ?? '')) || '';
    const seqs = this.#outputs.get(name);
    if (!seqs || seqs.length >= MAX_FOLDED || seq <= (seqs.at(-1) ?? -1)) return;
    seqs.push(seq);
    if (this.#collected && !this.#hide(this.#collected, name, seq)) this.#collected = null;
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
    return this.#hidden.heads.get(seq) ?? null;
  }

  /** How many lines a section has. @param {Section} section @param {number} total of the log */
  lines({ key, from, end }, total) {
    return this.#outputs.get(key)?.length ?? Math.max(0, Math.min(end, total) - from);
  }

  /** How many rows there are. @param {number} total lines of the log */
  rows(total) {
    return this.#isOpen ? total : this.#hidden.stretches.shown(total);
  }

  /** The line of a row. @param {number} index */
  seqOf(index) {
    return this.#isOpen ? index : this.#hidden.stretches.seqOf(index);
  }

  /** The row of a line; of one that is hidden the row above. @param {number} seq */
  indexOf(seq) {
    return this.#isOpen ? seq : this.#hidden.stretches.indexOf(seq);
  }

  /** Whether a line does not show, or only as the head of others. @param {number} seq */
  isHidden(seq) {
    return !this.#isOpen && (this.seqOf(this.indexOf(seq)) !== seq || this.headAt(seq) !== null);
  }

  /** The first hidden line at or behind a line. @param {number} seq */
  nextHidden(seq) {
    return this.#isOpen ? Infinity : this.#hidden.stretches.next(seq);
  }

  get #isOpen() {
    return this.#closed.size === 0 && this.#outputs.size === 0;
  }

  /** @param {number} seq */
  #phaseOver(seq) {
    const phase = this.#closed.size > 0 ? this.phaseAt(seq) : null;
    return phase && this.#closed.has(phase.key) ? phase : null;
  }

  get #hidden() {
    return (this.#collected ??= this.#collect());
  }

  /**
   * A line of a derivation that came at the end: its head, or hidden. False where it is not at the end.
   * @param {Hidden} hidden @param {string} name @param {number} seq
   */
  #hide({ stretches, heads, named }, name, seq) {
    const head = named.get(name);
    if (head) head.end = seq + 1;
    if (this.#phaseOver(seq)) return true;
    if (!head) {
      const section = outputSection(name, seq, seq + 1);
      named.set(name, section);
      heads.set(seq, section);
      return true;
    }
    if (seq < stretches.lastStart) return false;
    stretches.add(seq, seq + 1);
    return true;
  }

  /** @returns {Hidden} */
  #collect() {
    /** @type {Hidden} */
    const { stretches, heads, named } = { stretches: new Stretches(), heads: new Map(), named: new Map() };
    /** @type {number[]} */
    const lines = [];
    for (const [name, seqs] of this.#outputs) {
      const own = this.#closed.size > 0 ? seqs.filter((seq) => !this.#phaseOver(seq)) : seqs;
      const head = own[0];
      if (head === undefined) continue;
      const section = outputSection(name, head, (seqs.at(-1) ?? head) + 1);
      named.set(name, section);
      heads.set(head, section);
      for (let i = 1; i < own.length; i++) lines.push(own[i] ?? head);
    }
    const phases = this.phases.filter(({ key, from, end }) => this.#closed.has(key) && end > from + 1);
    for (const seq of Float64Array.from(lines).sort()) {
      for (let phase = phases[0]; phase && phase.from < seq; phase = phases[0]) {
        stretches.add(phase.from + 1, phase.end);
        phases.shift();
      }
      stretches.add(seq, seq + 1);
    }
    for (const { from, end } of phases) stretches.add(from + 1, end);
    return { stretches, heads, named };
  }
}

/** @param {string} name @param {number} from @param {number} end @returns {Section} */
function outputSection(name, from, end) {
  return { key: name, glyph: '', label: name, from, end, failed: false };
}
