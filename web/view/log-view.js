/**
 * The scrolling log: a pool of rows over a model of any length. The position is the index of a line with a
 * fraction; the scroller only shows it. Rows are mounted around it, and with wrapping on they are measured.
 */

import { Follow } from '../model/follow.js';
import { count } from '../model/format.js';
import { isScaled, maxTop, ROW_HEIGHT, spaceHeight, toScrollTop, toTop } from '../model/scroll-map.js';
import { h, oncePerFrame, setAttribute, setText } from './dom.js';
import { watchIntents } from './log-intents.js';
import { LogMarks, textRange } from './log-marks.js';
import { LogSelection } from './log-selection.js';
import { RowPool } from './row-pool.js';

/** @typedef {import('../net/folded-source.js').FoldedSource | import('../net/picked-source.js').PickedSource} Source */

const OVERSCAN = 6;
const MAX_ROWS = 150;

export class LogView extends HTMLElement {
  follow = new Follow();
  pool = new RowPool();
  marks = new LogMarks();
  selection = new LogSelection(this);
  /** Called when following pauses or resumes, or more lines are known. */
  onChange = () => {};
  /** Called when a line number is clicked. @type {(seq: number, extend: boolean) => void} */
  onNumber = () => {};
  /** Called when the name of a derivation is clicked. @type {(name: string) => void} */
  onDerivation = () => {};
  /** Called when a section is to be folded or unfolded. @type {(key: string) => void} */
  onFold = () => {};
  /** Called when other lines are in view. */
  onView = () => {};

  /** @type {Source | null} */
  source = null;
  #space = h('div', { class: 'log-space' }, this.pool.layer);
  #pillText = h('span', { class: 'pill-count' });
  #pillWhy = h('span', { class: 'pill-why' });
  #pill = h('button', { class: 'pill', type: 'button', hidden: true, onclick: () => this.resume() }, this.#pillText, this.#pillWhy);
  #empty = h('p', { class: 'log-empty' });
  scroller = h('div', { class: 'log-scroll', role: 'log', 'aria-live': 'off', tabindex: '0' }, this.#space);
  #top = 0;
  /** The line to go to as soon as so many are known. @type {number | null} */
  #wanted = null;
  /** The highest position as measured, with wrapping on. @type {number | null} */
  #wrapLast = null;
  #viewHeight = 0;
  /** Whether the line one has stepped to is to be brought into view sideways, too. */
  #bring = false;
  #drawnTotal = 0;
  #drawnLines = 0;
  /** The one at the upper edge. @type {import('../model/types.js').Line | undefined} */
  #drawnLine;
  #drawnTop = NaN;
  /** Where we put the scroller ourselves. */
  #placed = 0;
  /** @type {import('./log-row.js').Times} */
  #times = 'clock';
  #wrap = false;
  /** @type {import('../model/cause.js').Range[]} */
  #ranges = [];
  /** @type {string | null} */
  #started = null;
  #live = true;
  /** Whether it was seen how many lines the log has. */
  #opened = false;
  #redraw = oncePerFrame(() => this.#draw());
  #sizes = new ResizeObserver(() => this.#resized());
  /** @type {AbortController | null} */
  #life = null;

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.scroller, this.#empty, this.#pill);
    this.#life = new AbortController();
    const { signal } = this.#life;
    watchIntents(this, signal);
    this.selection.listen(signal);
    this.scroller.addEventListener('scroll', () => this.#scrolled(), { signal });
    this.#sizes.observe(this.scroller);
  }

  disconnectedCallback() {
    this.#life?.abort();
    this.marks.clear();
    this.#sizes.disconnect();
  }

  /** @param {Source} source */
  show(source) {
    if (this.source) this.source.onChange = () => {};
    this.source = source;
    this.#opened = false;
    this.selection.clear();
    this.pool.forget();
    this.pool.forgetWidth();
    this.pool.expanded.clear();
    this.#wrapLast = null;
    source.onChange = (countErrors) => {
      // While it follows nobody is told, and a burst has many lines.
      if (!this.follow.following) this.follow.sawErrors(countErrors());
      this.#redraw();
    };
    this.#redraw();
  }

  /** @param {string} label @param {string | null} started @param {boolean} live whether more lines may come @param {string} empty */
  describe(label, started, live, empty) {
    setAttribute(this.scroller, 'aria-label', label);
    if (this.#started !== started) this.pool.forget();
    this.#started = started;
    this.#live = live;
    setText(this.#empty, empty);
    this.#redraw();
  }

  /** Where the run says why it failed. @param {import('../model/cause.js').Range[]} ranges */
  set ranges(ranges) {
    this.#ranges = ranges;
    this.pool.forget();
    this.#redraw();
  }

  get total() {
    return this.source?.model.total ?? 0;
  }

  /** Lines of the log, where rows may stand for several. */
  get #lines() {
    return this.source?.lineTotal ?? 0;
  }

  get wrap() {
    return this.#wrap;
  }

  set wrap(on) {
    this.#wrap = on;
    this.#wrapLast = null;
    this.pool.forgetWidth();
    this.classList.toggle('wrapped', on);
    this.#redraw();
  }

  get times() {
    return this.#times;
  }

  set times(times) {
    this.#times = times;
    this.pool.forget();
    this.#redraw();
  }

  /** Pixels do not stand for lines, so wheel and keys are ours to do. */
  get movesByLines() {
    return this.#wrap || isScaled(this.total);
  }

  get pageLines() {
    return Math.max(1, Math.floor(this.#viewHeight / ROW_HEIGHT) - 1);
  }

  /** The first line that is wholly in view. */
  get topIndex() {
    return Math.ceil(this.#top - 0.01);
  }

  /** The number in the run of the first line in view. */
  get topSeq() {
    return this.source?.model.seqOf(this.topIndex) ?? 0;
  }

  /** What of the log is in view, as lines with fractions. */
  get inView() {
    return { top: this.#top, lines: this.#viewHeight / ROW_HEIGHT };
  }

  /** @param {MouseEvent} event */
  isGutter(event) {
    return event.clientX - this.scroller.getBoundingClientRect().left < this.gutterWidth;
  }

  /** In pixels. */
  get gutterWidth() {
    const row = this.pool.rows[0];
    return row ? parseFloat(getComputedStyle(row, '::before').width) || 0 : 0;
  }

  /** @param {import('../model/follow.js').Reason} reason */
  pause(reason) {
    this.follow.pause(reason, this.#lines);
    this.#changedFollow();
  }

  resume() {
    this.#wanted = null;
    this.follow.resume();
    this.#changedFollow();
  }

  /** The pointer is gone. */
  leave() {
    this.follow.leave();
    this.#changedFollow();
  }

  /** Goes to a line of the run, a third below the upper edge, and stays there. @param {number} seq */
  goTo(seq) {
    this.#wanted = seq;
    this.#redraw();
  }

  /** Goes to a line only where it is not in view. @param {number} seq */
  reveal(seq) {
    const { top, lines } = this.inView;
    const index = this.source?.indexOf(seq) ?? seq;
    this.pause('jumped');
    this.#bring = true;
    if (index < top || index > top + lines - 1) this.goTo(seq);
    else this.redraw();
  }

  /** Changes what is folded; the line at the upper edge stays. @param {() => void} change */
  refold(change) {
    const { source } = this;
    const index = Math.floor(this.#top);
    const seq = source?.model.seqOf(index) ?? 0;
    change();
    const now = Math.max(0, source?.indexOf(seq) ?? 0);
    this.#top = now + (source?.model.seqOf(now) === seq ? this.#top % 1 : 0);
    this.#wrapLast = null;
    this.selection.clear();
    this.pool.forget();
    this.#redraw();
  }

  /** Shows all of a long line. @param {number} seq */
  expand(seq) {
    this.pool.expanded.add(seq);
    this.pool.forget();
    this.#redraw();
  }

  /** Scrolls while a selection is dragged, which is no wish to follow. @param {number} lines */
  shift(lines) {
    this.#moveTo(this.#top + lines);
  }

  /** Something else about the rows has changed, marks for example. */
  redraw() {
    this.#redraw();
  }

  /** Scrolls by a person's wheel or keys. @param {number} lines */
  moveBy(lines) {
    this.#byHand(this.#top + (this.#wrap ? this.#unwrap(lines) : lines));
  }

  /** To a part of the whole, 0 to 1. @param {number} fraction */
  moveToFraction(fraction) {
    this.pause('scrolled');
    this.#moveTo(fraction * this.total - this.pageLines / 2);
  }

  /** @param {number} top */
  #moveTo(top) {
    this.#top = Math.min(Math.max(0, top), this.#last());
    this.#redraw();
  }

  /** @param {number} top */
  #byHand(top) {
    const before = this.#top;
    this.#moveTo(top);
    if (this.#top < before) this.pause('scrolled');
    else if (this.#top > before && this.#top >= this.#last() - 0.5) this.resume();
  }

  /** Screen rows to lines, by the heights of what is mounted. @param {number} rows */
  #unwrap(rows) {
    let pixels = rows * ROW_HEIGHT;
    let at = this.#top;
    while (Math.abs(pixels) > 0.5) {
      const line = pixels > 0 ? Math.floor(at) : Math.ceil(at) - 1;
      if (line < 0 || line >= this.total) break;
      const height = this.pool.at(line)?.offsetHeight || ROW_HEIGHT;
      const room = pixels > 0 ? (line + 1 - at) * height : (at - line) * height;
      const step = Math.min(room, Math.abs(pixels));
      at += (Math.sign(pixels) * step) / height;
      pixels -= Math.sign(pixels) * step;
    }
    return at - this.#top;
  }

  #last() {
    const last = maxTop(this.total, this.#viewHeight);
    return this.#wrap ? Math.max(last, this.#wrapLast ?? last) : last;
  }

  #scrolled() {
    if (this.scroller.clientHeight !== this.#viewHeight) return this.#redraw();
    const at = this.scroller.scrollTop;
    if (Math.abs(at - this.#placed) < 1.5) return;
    this.#placed = at;
    this.#byHand(toTop(at, this.total, this.#viewHeight, this.#last()));
  }

  #resized() {
    this.#wrapLast = null;
    this.#redraw();
  }

  #changedFollow() {
    this.onChange();
    this.#redraw();
  }

  #draw() {
    const { source } = this;
    if (!source || !this.isConnected) return;
    const { total } = this;
    if (!this.#opened && source.ready) this.follow.opened(this.#lines);
    this.#opened = source.ready;
    if (this.#lines !== this.#drawnLines) this.onChange();
    this.#drawnLines = this.#lines;
    this.#measure();
    this.#empty.hidden = total > 0;
    this.#space.style.height = `${spaceHeight(total)}px`;
    if (this.#wanted !== null && source.ready) this.#goToWanted(this.#wanted, source.indexOf(this.#wanted), total);
    if (this.follow.following) this.#top = this.#last();
    // How far down wrapped lines go is known once they are mounted.
    this.#top = Math.min(this.#top, this.#wrap && this.#wrapLast === null ? Math.max(0, total - 1) : this.#last());
    const room = Math.ceil(this.#viewHeight / ROW_HEIGHT) + 1;
    const wanted = Math.min(total, MAX_ROWS, room + 2 * OVERSCAN);
    const first = Math.max(0, Math.min(Math.floor(this.#top) - OVERSCAN, total - wanted));
    source.need(first, first + wanted);
    // What a search finds comes without its time.
    const times = 'name' in source ? 'off' : this.#times;
    this.pool.mount(source.model, first, wanted, this.#top, { times, started: this.#started, ranges: this.#ranges }, source.problem);
    this.marks.draw(this.pool.rows);
    this.selection.place();
    this.#place();
    if (this.#bring) this.#bringMatch();
    this.#drawPill();
    const line = source.model.get(this.topIndex);
    if (this.#drawnTop !== this.#top || this.#drawnTotal !== total || this.#drawnLine !== line) this.onView();
    this.#drawnLine = line;
    this.#drawnTop = this.#top;
    this.#drawnTotal = total;
  }

  /** A line that one has gone to stays in view where something takes the room that it was in. */
  #measure() {
    const { clientHeight } = this.scroller;
    const row = clientHeight < this.#viewHeight && !this.follow.following ? this.#currentRow : undefined;
    const top = row && row.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top;
    if (top !== undefined && top > -1 && top < this.#viewHeight) this.#bring = true;
    this.#viewHeight = clientHeight;
  }

  /** @param {number} wanted @param {number} index where it is @param {number} total */
  #goToWanted(wanted, index, total) {
    this.follow.pause('jumped', this.#lines);
    this.onChange();
    if (wanted >= this.#lines && index >= total && this.#live) return;
    this.#wanted = null;
    this.#top = Math.min(Math.max(0, Math.min(index, total - 1) - Math.floor(this.pageLines / 3)), this.#last());
  }

  /** The row of the match or error that one has stepped to. */
  get #currentRow() {
    const { current } = this.marks;
    return this.pool.rows.find((one) => one.dataset.seq === String(current));
  }

  /** Brings the line one has stepped to into view, and its first match; a long line is opened for that. */
  #bringMatch() {
    const { current, find } = this.marks;
    const row = this.#currentRow;
    // It is asked again when the line is there.
    if (!row || current === null || row.classList.contains('hole')) return;
    const [span] = find?.(row.textContent ?? '') ?? [];
    if (find && !span && row.querySelector('.more')) return this.expand(current);
    this.#bring = false;
    const { scroller } = this;
    if (!span) {
      scroller.scrollLeft = 0;
      return this.#bringRow(row.getBoundingClientRect());
    }
    const [match, box] = [textRange(row, ...span).getBoundingClientRect(), scroller.getBoundingClientRect()];
    const [left, right] = [box.left + this.gutterWidth, box.left + scroller.clientWidth];
    if (match.left < left || match.right > right) scroller.scrollLeft += match.left - left - (right - left) / 3;
    if (match.bottom > box.bottom || match.top < box.top) {
      const above = Math.max(0, match.top - row.getBoundingClientRect().top - box.height / 3);
      this.#moveTo(this.pool.indexOf(row) + above / row.offsetHeight);
    }
  }

  /** Brings a row into view, a third below the upper edge: lines that are wrapped are higher than one knows before. @param {DOMRect} row */
  #bringRow({ top, bottom, height }) {
    const box = this.scroller.getBoundingClientRect();
    const room = this.scroller.clientHeight;
    if (top >= box.top && bottom <= box.top + room) return;
    const by = (top - box.top - Math.min(room / 3, Math.max(0, room - height))) / ROW_HEIGHT;
    this.#moveTo(this.#wrap ? this.#top + this.#unwrap(by) : Math.floor(this.#top + by));
  }

  /** Moves the scroller once, and the rows to where it now is. */
  #place() {
    const { first, rows, layer } = this.pool;
    let above = (this.#top - first) * ROW_HEIGHT;
    if (this.#wrap) {
      const anchor = this.pool.at(Math.floor(this.#top));
      if (anchor) above = anchor.offsetTop + (this.#top % 1) * anchor.offsetHeight;
      const atEnd = first + rows.length === this.total;
      const highest = Math.max(0, layer.offsetHeight - this.#viewHeight);
      if (atEnd && rows.length > 0) {
        this.#wrapLast = this.pool.indexAt(highest);
        if (this.follow.following || above > highest) {
          above = highest;
          this.#top = this.#wrapLast;
        }
      }
    }
    const target = toScrollTop(this.#top, this.total, this.#viewHeight, this.#last());
    if (Math.abs(this.scroller.scrollTop - target) > 0.5) this.scroller.scrollTop = target;
    this.#placed = this.scroller.scrollTop;
    const exact = this.movesByLines ? Math.round(this.#placed - above) : first * ROW_HEIGHT;
    layer.style.transform = `translateY(${exact}px)`;
  }

  #drawPill() {
    const fresh = this.follow.newLines(this.#lines);
    this.#pill.hidden = this.follow.following || (!this.#live && fresh === 0);
    if (this.#pill.hidden) return;
    setText(this.#pillText, this.follow.pill(this.#lines));
    setText(this.#pillWhy, this.#wanted !== null && this.source?.ready ? `waiting for line ${count(this.#wanted + 1)}` : this.follow.why);
  }
}

customElements.define('sy-log', LogView);
