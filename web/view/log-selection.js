/**
 * A selection that outlives the rows it was made on. The browser's own covers what is mounted; copying takes
 * the text from the model, and from the dashboard what is not held here.
 */

import { stripAnsi } from '../model/ansi.js';
import { count, plural } from '../model/format.js';
import { spanOf, spanText } from '../model/selection.js';
import { copyText } from './clipboard.js';
import { caretAt } from './dom.js';
import { mountedSpan } from './log-marks.js';

/** @typedef {import('../model/selection.js').Point} Point */

/** As many lines as the dashboard gives at once. */
const PIECE = 10_000;
/** The most that is copied, in characters. */
const MAX_COPY = 32_000_000;
/** So near to the edge, in pixels, a drag scrolls: the more lines a second, the farther beyond it, up to a limit. */
const EDGE = 14;
const LINES_PER_SECOND = 5;
const FASTEST = 500;
/** What a slow frame counts for at most, in ms. */
const LONGEST_FRAME = 250;

export class LogSelection {
  /** @type {Point | null} */
  #anchor = null;
  /** @type {Point | null} */
  #focus = null;
  #view;
  /** Where the pointer is that drags a selection of ours. @type {{x: number, y: number} | null} */
  #pointer = null;
  #scrolling = false;
  /** The browser makes a selection of its own, of words or by touch. */
  #dragging = false;
  /** The browser has not told yet where a press was; it also tells of rows that were filled anew. */
  #pressed = false;
  /** What this put into the browser's selection, to tell that from what a person does. @type {Node[]} */
  #placed = [];
  /** Tells what was copied, or why not. @type {(title: string, problem?: unknown) => void} */
  say = () => {};

  /** @param {import('./log-view.js').LogView} view */
  constructor(view) {
    this.#view = view;
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    const { scroller } = this.#view;
    scroller.addEventListener('pointerdown', (event) => this.#down(event), { signal });
    scroller.addEventListener('mousedown', (event) => this.#grab(event), { signal });
    addEventListener('pointermove', (event) => this.#move(event), { signal });
    addEventListener('pointerup', () => this.#up(), { signal });
    document.addEventListener('selectionchange', () => this.#changed(), { signal });
    scroller.addEventListener('copy', (event) => this.#copy(event), { signal });
  }

  get span() {
    return spanOf(this.#anchor, this.#focus);
  }

  /** What is copied, in lines that can be told by their numbers: folded ones, too. @returns {{lines: {get: (index: number) => import('../model/types.js').Line | undefined}, span: import('../model/selection.js').Span} | null} */
  get whole() {
    const { span } = this;
    const { source } = this.#view;
    if (!span || !source) return null;
    return 'whole' in source ? source.whole(span) : { lines: source.model, span };
  }

  clear() {
    if (!this.span) return false;
    this.#anchor = this.#focus = null;
    document.getSelection()?.removeAllRanges();
    return true;
  }

  /** Shows as much of the selection as is mounted, after the rows have changed. */
  place() {
    const { span } = this;
    const selection = document.getSelection();
    // While it is dragged it is the browser's, and while a text field has the focus it is that field's: what the
    // browser tells of either is late.
    if (!span || !selection || this.#dragging || document.activeElement instanceof HTMLInputElement) return;
    const shown = mountedSpan(span, this.#view.pool);
    if (!shown) {
      if (this.#holds(selection.anchorNode)) selection.removeAllRanges();
      this.#placed = [];
      return;
    }
    const forward = this.#anchor === span.start;
    const [a, b] = forward ? [shown.start, shown.end] : [shown.end, shown.start];
    const there = selection.anchorNode === a.node && selection.anchorOffset === a.offset && selection.focusNode === b.node && selection.focusOffset === b.offset;
    if (there) return;
    this.#placed = [a.node, b.node];
    selection.setBaseAndExtent(a.node, a.offset, b.node, b.offset);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0 || this.#isElsewhere(event)) return;
    if (event.shiftKey && this.#anchor) {
      const point = this.#pointNear(event.clientX, event.clientY);
      if (!point) return;
      event.preventDefault();
      this.#focus = point;
      this.#view.pause('selection');
      return this.place();
    }
    this.#dragging = this.#pressed = true;
    this.#anchor = this.#focus = null;
  }

  /** @param {MouseEvent} event */
  #isElsewhere(event) {
    return this.#view.isGutter(event) || (event.target instanceof Element && event.target.closest('button') !== null);
  }

  /**
   * A drag is ours from the press on: the browser's selection would lose the rows that are filled anew while
   * the log scrolls. Double clicks stay the browser's.
   * @param {MouseEvent} event
   */
  #grab(event) {
    if (event.button !== 0 || event.detail !== 1 || event.shiftKey || this.#isElsewhere(event)) return;
    const point = this.#pointNear(event.clientX, event.clientY);
    if (!point) return;
    event.preventDefault();
    this.#view.scroller.focus({ preventScroll: true });
    document.getSelection()?.removeAllRanges();
    this.#dragging = this.#pressed = false;
    this.#anchor = this.#focus = point;
    this.#pointer = { x: event.clientX, y: event.clientY };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#pointer) return;
    if ((event.buttons & 1) === 0) return this.#up();
    this.#pointer = { x: event.clientX, y: event.clientY };
    this.#extend();
    if (!this.#scrolling) this.#scroll();
  }

  /** To where the pointer is now. */
  #extend() {
    const point = this.#pointer && this.#pointNear(this.#pointer.x, this.#pointer.y);
    if (!point) return;
    this.#focus = point;
    if (this.span) this.#view.pause('selection');
    this.place();
  }

  /** Goes on while the pointer is at an edge or beyond it. @param {number} [ms] since it last did */
  #scroll(ms = 16) {
    const { scroller, wrap } = this.#view;
    const box = scroller.getBoundingClientRect();
    const [down, right] = this.#pointer ? [beyond(this.#pointer.y, box.top, box.bottom), wrap ? 0 : beyond(this.#pointer.x, box.left, box.right)] : [0, 0];
    this.#scrolling = down !== 0 || right !== 0;
    if (!this.#scrolling) return;
    const seconds = Math.min(ms, LONGEST_FRAME) / 1000;
    this.#view.shift(Math.max(-FASTEST, Math.min(FASTEST, down * LINES_PER_SECOND)) * seconds);
    scroller.scrollLeft += right;
    const last = performance.now();
    requestAnimationFrame(() => {
      this.#extend();
      this.#scroll(performance.now() - last);
    });
  }

  #up() {
    if (this.#pointer) {
      this.#extend();
      this.#pointer = null;
      return this.#view.redraw();
    }
    if (!this.#dragging) return;
    this.#changed();
    this.#dragging = false;
    this.#view.redraw();
  }

  /** Selects the whole log, held here or not. */
  all() {
    if (this.#view.total === 0) return;
    this.#view.scroller.focus({ preventScroll: true });
    this.#anchor = { index: 0, offset: 0 };
    this.#focus = { index: this.#view.total - 1, offset: Infinity };
    this.#view.pause('selection');
    this.place();
  }

  #changed() {
    const selection = document.getSelection();
    if (!selection?.anchorNode || this.#pointer) return;
    if (!this.#holds(selection.anchorNode) || !this.#holds(selection.focusNode)) {
      // Something else is selected, which must not be taken away again.
      if (!this.#dragging) this.#anchor = this.#focus = null;
      return;
    }
    if (this.#placed[0] === selection.anchorNode && this.#placed[1] === selection.focusNode && !this.#dragging) return;
    if (selection.isCollapsed) {
      // A click without a move is where a Shift click begins.
      if (this.#pressed) this.#anchor = this.#focus = this.#logical(selection.anchorNode, selection.anchorOffset);
      this.#pressed = false;
      return;
    }
    // While it is dragged beyond the edge, the row it began on may be another one by now.
    if (!this.#dragging || !this.#anchor) this.#anchor = this.#logical(selection.anchorNode, selection.anchorOffset);
    this.#focus = this.#logical(selection.focusNode, selection.focusOffset);
    this.#view.pause('selection');
  }

  /** @param {Node | null} node */
  #holds(node) {
    return node !== null && this.#view.pool.layer.contains(node);
  }

  /** The place in the text that is nearest to a point of the window. @param {number} x @param {number} y @returns {Point | null} */
  #pointNear(x, y) {
    const { scroller, pool, gutterWidth } = this.#view;
    const box = scroller.getBoundingClientRect();
    const left = Math.min(Math.max(x, box.left + gutterWidth + 1), box.left + scroller.clientWidth - 2);
    const top = Math.min(Math.max(y, box.top + 1), box.top + scroller.clientHeight - 2);
    const caret = caretAt(left, top);
    const point = caret && pool.layer.contains(caret.node) ? this.#logical(caret.node, caret.offset) : null;
    if (point) return point;
    const row = pool.rows.find((one) => one.getBoundingClientRect().bottom > top) ?? pool.rows.at(-1);
    return row ? { index: pool.indexOf(row), offset: y > row.getBoundingClientRect().bottom ? Infinity : 0 } : null;
  }

  /** @param {Node | null} node @param {number} offset @returns {Point | null} */
  #logical(node, offset) {
    const { pool } = this.#view;
    const element = node instanceof Element ? node : (node?.parentElement ?? null);
    if (element === pool.layer) {
      const index = pool.first + offset;
      return { index: Math.min(index, this.#view.total - 1), offset: index < this.#view.total ? 0 : Infinity };
    }
    const row = element?.closest('.log-row');
    if (!node || !(row instanceof HTMLElement)) return null;
    const before = document.createRange();
    before.setStart(row, 0);
    before.setEnd(node, offset);
    return { index: pool.indexOf(row), offset: before.toString().length };
  }

  /** @param {ClipboardEvent} event */
  #copy(event) {
    const { whole } = this;
    if (!whole) return;
    event.preventDefault();
    const { span } = whole;
    const lines = span.end.index - span.start.index + 1;
    const held = Array.from({ length: Math.min(lines, PIECE) }, (_, i) => whole.lines.get(span.start.index + i));
    if (lines === held.length && held.every((line) => line !== undefined)) {
      event.clipboardData?.setData('text/plain', spanText(span, held.map((line) => stripAnsi(line.line))));
      if (lines > 1) this.say(`${plural(lines, 'line')} copied`);
      return;
    }
    void this.copyLines(span);
  }

  /** Copies what is not all held here. @param {import('../model/selection.js').Span} span */
  async copyLines(span) {
    const wanted = span.end.index - span.start.index + 1;
    const read = this.#read(span);
    try {
      await copyText(read.then(({ text }) => text));
      const { lines } = await read;
      if (lines === wanted) this.say(`${plural(lines, 'line')} copied`);
      else this.say(`Only the first ${count(lines)} of ${count(wanted)} lines were copied`, 'The clipboard gets at most 32 MB. Download the log for the rest.');
    } catch (error) {
      this.say('Could not copy the selection. Download the log instead.', error);
    }
  }

  /** @param {import('../model/selection.js').Span} span */
  async #read(span) {
    const source = this.#view.source;
    /** @type {string[]} */
    const lines = [];
    let size = 0;
    for (let at = span.start.index; source && at <= span.end.index && size <= MAX_COPY; at = span.start.index + lines.length) {
      const piece = await source.lines(at, Math.min(at + PIECE, span.end.index + 1));
      if (piece.length === 0) break;
      for (const { line } of piece) {
        if ((size += line.length + 1) > MAX_COPY) break;
        lines.push(stripAnsi(line));
      }
    }
    const end = span.start.index + lines.length - 1;
    return { lines: lines.length, text: spanText(end < span.end.index ? { start: span.start, end: { index: end, offset: Infinity } } : span, lines) };
  }
}

/** How far a pointer is beyond a line near the edge, in pixels; negative at the lower one. @param {number} at @param {number} low @param {number} high */
function beyond(at, low, high) {
  if (at < low + EDGE) return at - low - EDGE;
  return at > high - EDGE ? at - high + EDGE : 0;
}
