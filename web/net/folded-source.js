/** A log with sections of it folded: what the rows show is taken from the whole log behind it. */

import { builtName, Output } from '../model/derivation.js';
import { ANSWER } from '../model/find.js';
import { Folds, MAX_FOLDED } from '../model/folds.js';

/** @typedef {import('../model/types.js').Line} Line */
/** A row that a section begins with. Where that is `folded` the row stands for all of its `lines`. @typedef {{key: string, glyph: string, label: string, open: boolean, folded: boolean, lines: number, failed: boolean}} Head */
/** @typedef {(query: import('../model/find.js').Query, from: number, limit: number) => Promise<{total: number, matches: {seq: number}[]}>} Search */

export class FoldedSource {
  folds = new Folds();
  onChange = (/** @type {() => number} */ _countErrors) => {};
  #whole;
  #search;
  /** Lines before this one were looked at when they came. */
  #seen = 0;
  #closed = false;

  /** @param {import('./log-source.js').LogSource} whole @param {Search} search */
  constructor(whole, search) {
    this.#whole = whole;
    this.#search = search;
    whole.onChange = (countErrors) => {
      this.#look();
      this.onChange(countErrors);
    };
    const { folds } = this;
    const lines = whole.model;
    this.model = {
      get total() {
        return folds.rows(lines.total);
      },
      /** @param {number} index */
      get: (index) => lines.get(folds.seqOf(index)),
      /** @param {number} index */
      seqOf: (index) => folds.seqOf(index),
      /** @param {number} index */
      holeLength: (index) => {
        const seq = folds.seqOf(index);
        return Math.min(lines.holeLength(seq), folds.nextHidden(seq) - seq);
      },
      /** @param {number} index */
      styleAt: (index) => lines.styleAt(folds.seqOf(index)),
      /** @param {number} index */
      headAt: (index) => this.#headAt(folds.seqOf(index)),
    };
  }

  get ready() {
    return this.#whole.ready;
  }

  get problem() {
    return this.#whole.problem;
  }

  /** That the log was removed, in words; empty while it is there. */
  get gone() {
    return this.#whole.gone;
  }

  /** The line after the last one that came. */
  get next() {
    return this.#whole.model.next;
  }

  /** How many lines the dashboard has stored, where that was asked; null else. */
  get stored() {
    return this.#whole.stored;
  }

  /** Finds out whether the log was removed, or has lost lines. */
  check() {
    return this.#whole.check();
  }

  /** How many lines there are, folded or not. */
  get lineTotal() {
    return this.#whole.model.total;
  }

  /** The lines at the end that are held here, without a hole. */
  get held() {
    const { model } = this.#whole;
    /** @type {Line[]} */
    const lines = [];
    for (let line = model.get(model.total - 1); line && lines.length < ANSWER; line = model.get(model.total - 1 - lines.length)) lines.push(line);
    return { first: model.total - lines.length, lines: lines.reverse() };
  }

  /** @param {number} seq */
  indexOf(seq) {
    return this.folds.indexOf(seq);
  }

  close() {
    this.#closed = true;
    this.#whole.close();
  }

  /** @param {number} first @param {number} end exclusive */
  need(first, end) {
    let stretch = -1;
    // Each stretch of lines that follow each other is asked for by itself.
    for (let index = first; index < end; index++) {
      const seq = this.folds.seqOf(index);
      if (stretch < 0) stretch = seq;
      if (index + 1 < end && this.folds.seqOf(index + 1) === seq + 1) continue;
      this.#whole.need(stretch, seq + 1);
      stretch = -1;
    }
  }

  /** Lines to copy, folded or not. @param {number} first @param {number} end exclusive */
  lines(first, end) {
    return this.#whole.lines(first, end);
  }

  /** Folded lines are copied with those around them. @param {import('../model/selection.js').Span} span */
  whole({ start, end }) {
    const { folds } = this;
    const last = folds.seqOf(end.index);
    const head = end.offset > 0 ? folds.headAt(last) : null;
    const index = head?.key.startsWith(':') ? Math.min(head.end, this.lineTotal) - 1 : last;
    return { lines: this.#whole.model, span: { start: { index: folds.seqOf(start.index), offset: start.offset }, end: { index, offset: head ? Infinity : end.offset } } };
  }

  /** Finds and folds what a derivation has said so far; what it says later is folded as it comes. @param {string} name @param {(change: () => void) => void} apply */
  async foldOutput(name, apply) {
    /** @type {number[]} */
    const seqs = [];
    const output = new Output(name, this.#search);
    for (;;) {
      const seen = this.#whole.model.next;
      const { total, matches } = await output.find((seqs.at(-1) ?? -1) + 1, ANSWER);
      for (const { seq } of matches) seqs.push(seq);
      if (this.#closed) return;
      if (matches.length > 0 && seqs.length < Math.min(total, MAX_FOLDED)) continue;
      return apply(() => {
        this.folds.foldOutput(name, seqs, output.printed);
        this.#seen = Math.min(this.#seen, seen);
        this.#look();
      });
    }
  }

  /** Lines that came since: those of derivations that are folded are folded, too. */
  #look() {
    const { model } = this.#whole;
    if (this.folds.keys.length > 0) {
      for (let seq = Math.max(this.#seen, model.next - ANSWER); seq < model.next; seq++) this.folds.came(seq, model.get(seq)?.line ?? '');
    }
    this.#seen = model.next;
  }

  /** @param {number} seq @returns {Head | null} */
  #headAt(seq) {
    const { folds } = this;
    const folded = folds.headAt(seq);
    if (folded) return { key: folded.key, glyph: folded.glyph, label: folded.label, open: false, folded: true, lines: folds.lines(folded, this.lineTotal), failed: folded.failed };
    const phase = folds.phases.find(({ from }) => from === seq);
    if (phase) return { key: phase.key, glyph: phase.glyph, label: phase.label, open: true, folded: false, lines: 0, failed: false };
    const name = builtName(this.#whole.model.get(seq)?.line ?? '');
    return name ? { key: name, glyph: '', label: name, open: !folds.isFolded(name), folded: false, lines: 0, failed: false } : null;
  }
}
