/** What stands out in the mounted rows: marked lines, the match one is at, and the text that was searched. */

import { derivationOf } from '../model/derivation.js';
import { clipSpan } from '../model/selection.js';

/** Marks text without an element for each mark. Browsers without it have the map and the stepping. */
function highlightNamed(/** @type {string} */ name) {
  if (typeof Highlight !== 'function') return null;
  const highlight = new Highlight();
  CSS.highlights.set(name, highlight);
  return highlight;
}

const found = highlightNamed('found');
const names = highlightNamed('derivation');

export class LogMarks {
  /** The first and the last line that are marked, by their numbers in the run. @type {[number, number] | null} */
  lines = null;
  /** The match or error one has stepped to. @type {number | null} */
  current = null;
  /** @type {((text: string) => [number, number][]) | null} */
  find = null;
  /** @type {AbstractRange[]} */
  #ranges = [];

  /** @param {HTMLElement[]} rows as they are mounted */
  draw(rows) {
    this.clear();
    for (const row of rows) {
      const seq = Number(row.dataset.seq);
      row.classList.toggle('marked', this.lines !== null && seq >= this.lines[0] && seq <= this.lines[1]);
      row.classList.toggle('current', seq === this.current);
      if (!found || row.classList.contains('hole')) continue;
      const text = row.textContent ?? '';
      const name = derivationOf(text);
      if (name) this.#add(names, row, 0, name.length);
      for (const [start, end] of this.find?.(text) ?? []) this.#add(found, row, start, end);
    }
  }

  clear() {
    for (const range of this.#ranges) {
      found?.delete(range);
      names?.delete(range);
    }
    this.#ranges = [];
  }

  /** @param {Highlight | null} highlight @param {HTMLElement} row @param {number} start @param {number} end */
  #add(highlight, row, start, end) {
    const [a, b] = [textPoint(row, start), textPoint(row, end)];
    const range = new StaticRange({ startContainer: a.node, startOffset: a.offset, endContainer: b.node, endOffset: b.offset });
    highlight?.add(range);
    this.#ranges.push(range);
  }
}

/** The place in the text nodes of a row. @param {HTMLElement} row @param {number} offset @returns {{node: Node, offset: number}} */
export function textPoint(row, offset) {
  const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
  let rest = offset;
  /** @type {Node | null} */
  let last = null;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const length = node.nodeValue?.length ?? 0;
    if (rest <= length) return { node, offset: rest };
    rest -= length;
    last = node;
  }
  return last ? { node: last, offset: last.nodeValue?.length ?? 0 } : { node: row, offset: 0 };
}

/** Part of the text of a row. @param {HTMLElement} row @param {number} start @param {number} end */
export function textRange(row, start, end) {
  const [a, b] = [textPoint(row, start), textPoint(row, end)];
  const range = document.createRange();
  range.setStart(a.node, a.offset);
  range.setEnd(b.node, b.offset);
  return range;
}

/** A span of the log as it is mounted. @param {import('../model/selection.js').Span} span @param {import('./row-pool.js').RowPool} pool */
export function mountedSpan(span, pool) {
  const part = clipSpan(span, pool.first, pool.first + pool.rows.length);
  const [first, last] = [part && pool.at(part.start.index), part && pool.at(part.end.index)];
  if (!part || !first || !last) return null;
  return { start: textPoint(first, part.start.offset), end: textPoint(last, part.end.offset) };
}
