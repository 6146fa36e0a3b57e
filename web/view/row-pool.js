/** The rows of a log that are mounted. Rows that stay on screen keep their elements. */

import { count } from '../model/format.js';
import { h } from './dom.js';
import { addFold, fillHead, fillHole, fillRow, makeRow, markDay } from './log-row.js';

/** @typedef {import('./log-row.js').RowOptions} RowOptions */
/** @typedef {{readonly total: number, get: (index: number) => import('../model/types.js').Line | undefined, holeLength: (index: number) => number, seqOf: (index: number) => number, styleAt: (index: number) => import('./log-row.js').Start, headAt?: (index: number) => import('./log-row.js').Head | null}} Lines */

/** A line of which more is not shown counts as so wide. */
const MAX_WIDTH = 4100;
/** What is around a text at the end of a row, such as its edges, in characters. */
const AROUND = 8;

export class RowPool {
  layer = h('div', { class: 'log-layer' });
  /** @type {HTMLElement[]} */
  rows = [];
  /** The index of the first row. */
  first = 0;
  /** Long lines that are shown whole. @type {Set<number>} */
  expanded = new Set();
  #widest = 0;
  #digits = 0;

  /** The row of a line, where it is mounted. @param {number} index */
  at(index) {
    return this.rows[index - this.first];
  }

  /** The index of a row. @param {HTMLElement} row */
  indexOf(row) {
    const at = this.rows.indexOf(row);
    return at < 0 ? -1 : this.first + at;
  }

  /** Every row is to be filled anew. */
  forget() {
    for (const row of this.rows) row.classList.add('stale');
  }

  /** The next log may be narrower. */
  forgetWidth() {
    this.#widest = 0;
  }

  /**
   * @param {Lines} lines @param {number} first @param {number} wanted how many @param {number} top what is above is out of view
   * @param {Omit<RowOptions, 'digits' | 'whole'>} options @param {string} why a hole is one
   */
  mount(lines, first, wanted, top, options, why) {
    while (this.rows.length > wanted) this.rows.pop()?.remove();
    while (this.rows.length < wanted) {
      const row = makeRow();
      this.rows.push(row);
      this.layer.append(row);
    }
    this.#rotate(first);
    const digits = Math.max(4, String(lines.total > 0 ? lines.seqOf(lines.total - 1) + 1 : 0).length);
    if (digits !== this.#digits) this.forget();
    this.#digits = digits;
    let inHole = /** @type {boolean} */ (false);
    for (const [i, row] of this.rows.entries()) {
      const index = first + i;
      const line = lines.get(index);
      const seq = lines.seqOf(index);
      const head = lines.headAt?.(index) ?? null;
      if (head?.folded) {
        inHole = false;
        fillHead(row, seq, head, { ...options, digits, whole: false });
        continue;
      }
      if (!line) {
        const visible = !inHole && index + 1 > top;
        fillHole(row, seq, visible ? holeText(lines.holeLength(index), why) : '', { ...options, digits, whole: false });
        inHole ||= visible;
        continue;
      }
      inHole = false;
      const { classList } = row;
      if (row.dataset.seq === String(seq) && !['hole', 'stale', 'head'].some((name) => classList.contains(name))) continue;
      const whole = this.expanded.has(seq);
      fillRow(row, seq, line, lines.styleAt(index), { ...options, digits, whole });
      markDay(row, line, lines.get(index - 1), options.times);
      if (head) addFold(row, head);
      // What lies at the end of the row lies beside its line when it is scrolled there.
      const { day } = row.dataset;
      const beside = (head ? head.glyph.length + head.label.length + AROUND : 0) + (day ? day.length + AROUND : 0);
      this.#widest = Math.max(this.#widest, (whole ? line.line.length : Math.min(line.line.length, MAX_WIDTH)) + beside);
    }
    this.layer.style.setProperty('--widest', String(this.#widest));
    this.layer.style.setProperty('--gutter', String(this.rows[0]?.dataset.gutter?.length ?? 0));
  }

  /** The index with a fraction at a height of the layer. @param {number} y */
  indexAt(y) {
    const at = this.rows.findIndex((row) => row.offsetTop + row.offsetHeight > y);
    const row = this.rows[Math.max(0, at)];
    return row ? this.first + Math.max(0, at) + (y - row.offsetTop) / row.offsetHeight : 0;
  }

  /** @param {number} first */
  #rotate(first) {
    const by = first - this.first;
    this.first = first;
    if (by === 0 || Math.abs(by) >= this.rows.length) return;
    if (by > 0) {
      const moved = this.rows.splice(0, by);
      this.rows.push(...moved);
      this.layer.append(...moved);
    } else {
      const moved = this.rows.splice(by);
      this.rows.unshift(...moved);
      this.layer.prepend(...moved);
    }
  }
}

/** @param {number} n @param {string} why */
function holeText(n, why) {
  return `… ${count(n)} ${n === 1 ? 'line' : 'lines'}, ${why || 'loading'}`;
}
