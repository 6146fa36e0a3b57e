/**
 * A selection that outlives the rows it was made on. The browser's own covers what is mounted; copying takes
 * the text from the model, and from the dashboard what is not held here.
 */

import { stripAnsi } from '../model/ansi.js';
import { plural } from '../model/format.js';
import { spanOf, spanText } from '../model/selection.js';
import { mountedSpan } from './log-marks.js';

/** @typedef {import('../model/selection.js').Point} Point */

/** As many lines as the dashboard gives at once. */
const PIECE = 10_000;

export class LogSelection {
  /** @type {Point | null} */
  #anchor = null;
  /** @type {Point | null} */
  #focus = null;
  #view;
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
    scroller.addEventListener('keydown', (event) => this.#keydown(event), { signal });
    addEventListener('pointerup', () => this.#up(), { signal });
    document.addEventListener('selectionchange', () => this.#changed(), { signal });
    scroller.addEventListener('copy', (event) => this.#copy(event), { signal });
  }

  get span() {
    return spanOf(this.#anchor, this.#focus);
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
    // While it is dragged it is the browser's: what it tells of it is late.
    if (!span || !selection || this.#dragging) return;
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
    if (event.button !== 0 || this.#view.isGutter(event)) return;
    if (event.shiftKey && this.#anchor) {
      const point = this.#pointAt(event);
      if (!point) return;
      event.preventDefault();
      this.#focus = point;
      this.#view.pause('selection');
      return this.place();
    }
    this.#dragging = this.#pressed = true;
    this.#anchor = this.#focus = null;
  }

  #up() {
    if (!this.#dragging) return;
    this.#changed();
    this.#dragging = false;
    this.#view.redraw();
  }

  /** @param {KeyboardEvent} event */
  #keydown(event) {
    if (event.key !== 'a' || !(event.ctrlKey || event.metaKey) || this.#view.total === 0) return;
    event.preventDefault();
    this.#anchor = { index: 0, offset: 0 };
    this.#focus = { index: this.#view.total - 1, offset: Infinity };
    this.#view.pause('selection');
    this.place();
  }

  #changed() {
    const selection = document.getSelection();
    if (!selection?.anchorNode) return;
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

  /** @param {PointerEvent} event */
  #pointAt(event) {
    const range = document.caretRangeFromPoint?.(event.clientX, event.clientY);
    return range ? this.#logical(range.startContainer, range.startOffset) : null;
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
    const { span } = this;
    const source = this.#view.source;
    if (!span || !source) return;
    event.preventDefault();
    const indexes = Array.from({ length: span.end.index - span.start.index + 1 }, (_, i) => span.start.index + i);
    const held = indexes.map((index) => source.model.get(index));
    if (held.every((line) => line !== undefined)) {
      event.clipboardData?.setData('text/plain', spanText(span, held.map((line) => stripAnsi(line.line))));
      if (held.length > 1) this.say(`${plural(held.length, 'line')} copied`);
      return;
    }
    void this.copyLines(span);
  }

  /** Copies what is not all held here. @param {import('../model/selection.js').Span} span */
  async copyLines(span) {
    const source = this.#view.source;
    if (!source) return;
    try {
      /** @type {string[]} */
      const lines = [];
      for (let at = span.start.index; at <= span.end.index; at += PIECE) {
        const piece = await source.lines(at, Math.min(at + PIECE, span.end.index + 1));
        for (const { line } of piece) lines.push(stripAnsi(line));
      }
      await navigator.clipboard.writeText(spanText(span, lines));
      this.say(`${plural(lines.length, 'line')} copied`);
    } catch (error) {
      this.say('The selection was not copied; download the log instead', error);
    }
  }
}
