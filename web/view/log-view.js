/**
 * The scrolling log: a pool of rows over a model of any length. The position is a line number with a
 * fraction; the scroller only shows it. Rows are mounted around it, and with wrapping on they are measured.
 */

import { Follow } from '../model/follow.js';
import { count } from '../model/format.js';
import { isScaled, maxTop, ROW_HEIGHT, spaceHeight, toScrollTop, toTop } from '../model/scroll-map.js';
import { h, oncePerFrame, setText } from './dom.js';
import { fillHole, fillRow, makeRow } from './log-row.js';
import { watchIntents } from './log-intents.js';

const OVERSCAN = 6;
const MAX_ROWS = 150;

export class LogView extends HTMLElement {
  follow = new Follow();
  /** Called when following pauses or resumes, or more lines are known. */
  onChange = () => {};

  /** @type {import('../net/log-source.js').LogSource | null} */
  #source = null;
  #layer = h('div', { class: 'log-layer' });
  #space = h('div', { class: 'log-space' }, this.#layer);
  #pillText = h('span', { class: 'pill-count' });
  #pillWhy = h('span', { class: 'pill-why' });
  #pill = h('button', { class: 'pill', type: 'button', hidden: true, onclick: () => this.resume() }, this.#pillText, this.#pillWhy);
  #empty = h('p', { class: 'log-empty' });
  scroller = h('div', { class: 'log-scroll', role: 'log', 'aria-live': 'off', tabindex: '0' }, this.#space);
  /** @type {HTMLElement[]} */
  #rows = [];
  #top = 0;
  /** The highest position as measured, with wrapping on. @type {number | null} */
  #wrapLast = null;
  #viewHeight = 0;
  #drawnTotal = 0;
  /** Where we put the scroller ourselves. */
  #placed = 0;
  #widest = 0;
  /** @type {import('./log-row.js').Times} */
  #times = 'clock';
  #wrap = false;
  /** @type {string | null} */
  #started = null;
  #live = true;
  #redraw = oncePerFrame(() => this.#draw());
  #sizes = new ResizeObserver(() => this.#resized());

  connectedCallback() {
    if (this.childElementCount === 0) {
      this.append(this.scroller, this.#empty, this.#pill);
      watchIntents(this);
      this.scroller.addEventListener('scroll', () => this.#scrolled());
    }
    this.#sizes.observe(this.scroller);
  }

  disconnectedCallback() {
    this.#sizes.disconnect();
  }

  /** @param {import('../net/log-source.js').LogSource} source */
  show(source) {
    this.#source = source;
    source.onChange = (errors) => {
      this.follow.sawErrors(errors);
      this.#redraw();
    };
    this.#redraw();
  }

  /** @param {string} label @param {string | null} started @param {boolean} live whether more lines may come @param {string} empty */
  describe(label, started, live, empty) {
    this.scroller.setAttribute('aria-label', label);
    if (this.#started !== started) this.#forgetRows();
    this.#started = started;
    this.#live = live;
    setText(this.#empty, empty);
    this.#redraw();
  }

  get total() {
    return this.#source?.model.total ?? 0;
  }

  get wrap() {
    return this.#wrap;
  }

  set wrap(on) {
    this.#wrap = on;
    this.#wrapLast = null;
    this.#widest = 0;
    this.classList.toggle('wrapped', on);
    this.#redraw();
  }

  get times() {
    return this.#times;
  }

  set times(times) {
    this.#times = times;
    this.#forgetRows();
    this.#redraw();
  }

  /** Pixels do not stand for lines, so wheel and keys are ours to do. */
  get movesByLines() {
    return this.#wrap || isScaled(this.total);
  }

  get pageLines() {
    return Math.max(1, Math.floor(this.#viewHeight / ROW_HEIGHT) - 1);
  }

  /** @param {import('../model/follow.js').Reason} reason */
  pause(reason) {
    this.follow.pause(reason, this.total);
    this.#changedFollow();
  }

  resume() {
    this.follow.resume();
    this.#changedFollow();
  }

  /** The pointer is gone. */
  leave() {
    this.follow.leave();
    this.#changedFollow();
  }

  /** Goes to a line, a third below the upper edge, and stays there. @param {number} seq */
  goTo(seq) {
    this.pause('jumped');
    this.#moveTo(seq - Math.floor(this.pageLines / 3));
  }

  /** Scrolls by a person's wheel or keys. @param {number} lines */
  moveBy(lines) {
    this.#byHand(this.#top + (this.#wrap ? this.#unwrap(lines) : lines));
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
      const height = this.#rows.find((row) => row.dataset.seq === String(line))?.offsetHeight || ROW_HEIGHT;
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
    if (!this.#source || !this.isConnected) return;
    const total = this.total;
    if (total !== this.#drawnTotal) this.onChange();
    this.#drawnTotal = total;
    this.#viewHeight = this.scroller.clientHeight;
    this.#empty.hidden = total > 0;
    this.#space.style.height = `${spaceHeight(total)}px`;
    if (this.follow.following) this.#top = this.#last();
    this.#top = Math.min(this.#top, this.#last());
    this.#mount(total);
    this.#place();
    this.#drawPill();
  }

  /** @param {number} total */
  #mount(total) {
    const room = Math.ceil(this.#viewHeight / ROW_HEIGHT) + 1;
    const wanted = Math.min(total, MAX_ROWS, room + 2 * OVERSCAN);
    const first = Math.max(0, Math.min(Math.floor(this.#top) - OVERSCAN, total - wanted));
    this.#source?.need(first, first + wanted);
    while (this.#rows.length > wanted) this.#rows.pop()?.remove();
    while (this.#rows.length < wanted) {
      const row = makeRow();
      this.#rows.push(row);
      this.#layer.append(row);
    }
    this.#rotate(first);
    const top = this.#top;
    const options = { digits: Math.max(4, String(total).length), times: this.#times, started: this.#started };
    if (this.#layer.dataset.digits !== String(options.digits)) this.#forgetRows();
    this.#layer.dataset.digits = String(options.digits);
    let inHole = /** @type {boolean} */ (false);
    for (const [i, row] of this.#rows.entries()) {
      const seq = first + i;
      const line = this.#source?.model.get(seq);
      if (!line) {
        const visible = !inHole && seq + 1 > top;
        fillHole(row, seq, visible ? this.#holeText(seq) : '', options);
        inHole ||= visible;
      } else if (row.dataset.seq !== String(seq) || row.classList.contains('hole') || row.classList.contains('stale')) {
        inHole = false;
        fillRow(row, seq, line, options);
        this.#widest = Math.max(this.#widest, Math.min(line.line.length, 4100));
      }
    }
    this.#layer.style.setProperty('--widest', String(this.#widest));
    this.#layer.style.setProperty('--gutter', String(this.#rows[0]?.dataset.gutter?.length ?? 0));
  }

  /** Rows that stay on screen keep their elements, so a selection survives. @param {number} first */
  #rotate(first) {
    const had = Number(this.#rows[0]?.dataset.seq ?? NaN);
    const by = first - had;
    if (Number.isNaN(by) || by === 0 || Math.abs(by) >= this.#rows.length) return;
    if (by > 0) {
      const moved = this.#rows.splice(0, by);
      this.#rows.push(...moved);
      this.#layer.append(...moved);
    } else {
      const moved = this.#rows.splice(by);
      this.#rows.unshift(...moved);
      this.#layer.prepend(...moved);
    }
  }

  /** @param {number} seq */
  #holeText(seq) {
    const n = this.#source?.model.holeLength(seq) ?? 0;
    return `… ${count(n)} ${n === 1 ? 'line' : 'lines'}, ${this.#source?.problem || 'loading'}`;
  }

  /** Moves the scroller once, and the rows to where it now is. */
  #place() {
    const first = Number(this.#rows[0]?.dataset.seq ?? 0);
    let above = (this.#top - first) * ROW_HEIGHT;
    if (this.#wrap) {
      const anchor = this.#rows[Math.floor(this.#top) - first];
      if (anchor) above = anchor.offsetTop + (this.#top % 1) * anchor.offsetHeight;
      const atEnd = first + this.#rows.length === this.total;
      const highest = Math.max(0, this.#layer.offsetHeight - this.#viewHeight);
      if (atEnd && this.#rows.length > 0) {
        this.#wrapLast = this.#lineAt(highest);
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
    this.#layer.style.transform = `translateY(${exact}px)`;
  }

  /** The position at a height of the mounted rows. @param {number} y */
  #lineAt(y) {
    const row = this.#rows.find((r) => r.offsetTop + r.offsetHeight > y) ?? this.#rows[0];
    return row ? Number(row.dataset.seq) + (y - row.offsetTop) / row.offsetHeight : 0;
  }

  #drawPill() {
    const fresh = this.follow.newLines(this.total);
    this.#pill.hidden = this.follow.following || (!this.#live && fresh === 0);
    if (this.#pill.hidden) return;
    setText(this.#pillText, this.follow.pill(this.total));
    setText(this.#pillWhy, this.follow.why);
  }

  #forgetRows() {
    for (const row of this.#rows) row.classList.add('stale');
  }
}

customElements.define('sy-log', LogView);
