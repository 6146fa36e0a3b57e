/**
 * The lines of one run that the browser holds: pages of 1,000 lines, the least recently used one goes first.
 * A line is kept by its number, so one that comes twice is there once, and one that is not there is a hole.
 */

import { CarriedStyles } from './ansi.js';

/** @typedef {import('./types.js').Line} Line */

export const PAGE_LINES = 1000;
const MAX_PAGES = 20;
const MAX_CHARS = 32 * 1024 * 1024;

/** @typedef {{lines: (Line | undefined)[], held: number, chars: number, styles: CarriedStyles}} Page */

export class LogModel {
  /** In the order of use, the latest last. @type {Map<number, Page>} */
  #pages = new Map();
  #total = 0;
  #next = 0;
  #chars = 0;

  /** How many lines there are, as far as we know. */
  get total() {
    return this.#total;
  }

  /** The line behind the last one that came over the subscription: where to go on after a break. */
  get next() {
    return this.#next;
  }

  /** @param {number} total */
  setTotal(total) {
    this.#total = Math.max(this.#total, total);
  }

  /** Lines of the subscription, in order. @param {number} seq of the first @param {Line[]} lines */
  append(seq, lines) {
    this.put(seq, lines);
    this.#next = Math.max(this.#next, seq + lines.length);
  }

  /** Any lines, for example those that fill a hole. @param {number} seq @param {Line[]} lines */
  put(seq, lines) {
    for (const [i, line] of lines.entries()) this.#set(seq + i, line);
    this.setTotal(seq + lines.length);
    this.#evict();
  }

  /** The number of a line in its run: here each line is where it belongs. @param {number} index */
  seqOf(index) {
    return index;
  }

  /** @param {number} seq @returns {Line | undefined} */
  get(seq) {
    return this.#pages.get(Math.floor(seq / PAGE_LINES))?.lines[seq % PAGE_LINES];
  }

  /** What the lines before have left set, as far back as the page goes. @param {number} seq */
  styleAt(seq) {
    const page = this.#pages.get(Math.floor(seq / PAGE_LINES));
    const at = seq % PAGE_LINES;
    for (let line = page?.lines[page.styles.length]; page && line && page.styles.length <= at; line = page.lines[page.styles.length]) page.styles.push(line);
    return page?.styles.at(at);
  }

  /**
   * The pages that have holes between two lines; both are marked as used, so that what is on screen stays.
   * @param {number} first @param {number} end exclusive @returns {number[]} page numbers
   */
  holes(first, end) {
    const pages = [];
    const last = Math.min(end, this.#total);
    for (let n = Math.floor(first / PAGE_LINES); n * PAGE_LINES < last; n++) {
      const page = this.#pages.get(n);
      if (page) {
        this.#pages.delete(n);
        this.#pages.set(n, page);
      }
      for (let seq = Math.max(first, n * PAGE_LINES); seq < Math.min(last, (n + 1) * PAGE_LINES); seq++) {
        if (!page?.lines[seq % PAGE_LINES]) {
          pages.push(n);
          break;
        }
      }
    }
    return pages;
  }

  /** The first line of a page that is missing. @param {number} page */
  firstHole(page) {
    const lines = this.#pages.get(page)?.lines;
    const index = lines ? lines.findIndex((line) => !line) : 0;
    return page * PAGE_LINES + Math.max(0, index);
  }

  /** How many lines in a row are missing from `seq` on, within the pages that lie around. @param {number} seq */
  holeLength(seq) {
    let end = seq;
    while (end < this.#total) {
      const page = this.#pages.get(Math.floor(end / PAGE_LINES));
      if (!page) end = (Math.floor(end / PAGE_LINES) + 1) * PAGE_LINES;
      else if (!page.lines[end % PAGE_LINES]) end += 1;
      else break;
    }
    return Math.min(end, this.#total) - seq;
  }

  /** @param {number} seq @param {Line} line */
  #set(seq, line) {
    const number = Math.floor(seq / PAGE_LINES);
    let page = this.#pages.get(number);
    if (!page) {
      page = { lines: new Array(PAGE_LINES), held: 0, chars: 0, styles: new CarriedStyles() };
      this.#pages.set(number, page);
    }
    if (page.lines[seq % PAGE_LINES]) return;
    page.lines[seq % PAGE_LINES] = line;
    page.held += 1;
    page.chars += line.line.length;
    this.#chars += line.line.length;
  }

  #evict() {
    for (const [number, page] of this.#pages) {
      if (this.#pages.size <= 2) return;
      if (this.#pages.size <= MAX_PAGES && this.#chars <= MAX_CHARS) return;
      this.#pages.delete(number);
      this.#chars -= page.chars;
    }
  }
}
