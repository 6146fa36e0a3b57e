/** The strip at the right edge: where in the whole log matches and errors are, and what of it is in view. */

import { plural } from '../model/format.js';
import { h, setAttribute } from './dom.js';

/** @typedef {import('../model/find.js').Finder} Finder */
/** @typedef {Finder | import('../model/cause.js').CauseLines} Errors */

const WIDTH = 14;
/** A mark is to be seen even where its line is a fraction of a pixel. */
const MARK = 2;

export class MatchMap extends HTMLElement {
  /** Called with a part of the whole, 0 to 1. @type {(fraction: number) => void} */
  onGo = () => {};
  #canvas = h('canvas', { width: WIDTH });
  #drawn = '';
  /** Draws again what was drawn last. */
  #again = () => {};
  #theme = new MutationObserver(() => this.#recolor());
  #system = matchMedia('(prefers-color-scheme: dark)');
  #recolor = () => {
    this.#drawn = '';
    this.#again();
  };

  connectedCallback() {
    this.#theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    this.#system.addEventListener('change', this.#recolor);
    if (this.childElementCount > 0) return;
    this.setAttribute('role', 'img');
    this.append(this.#canvas);
    const go = (/** @type {PointerEvent} */ event) => {
      const box = this.getBoundingClientRect();
      this.onGo(Math.min(1, Math.max(0, (event.clientY - box.top) / box.height)));
    };
    this.addEventListener('pointerdown', (event) => {
      this.setPointerCapture(event.pointerId);
      go(event);
    });
    this.addEventListener('pointermove', (event) => this.hasPointerCapture(event.pointerId) && go(event));
  }

  disconnectedCallback() {
    this.#theme.disconnect();
    this.#system.removeEventListener('change', this.#recolor);
  }

  /**
   * @param {number} total lines @param {{top: number, lines: number}} view @param {Finder} matches @param {Errors} errors
   * @param {(seq: number) => number} place the index of a line, or -1 where it is not shown
   */
  draw(total, view, matches, errors, place) {
    this.#again = () => this.draw(total, view, matches, errors, place);
    const height = this.clientHeight;
    const scale = devicePixelRatio;
    const style = getComputedStyle(this);
    const key = [total, view.top, view.lines, height, scale, matches.seqs.length, matches.seqs[0], errors.seqs.length, errors.seqs[0], place(0)].join(' ');
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.#describe(matches, errors);
    this.#canvas.width = WIDTH * scale;
    this.#canvas.height = height * scale;
    this.#canvas.style.height = `${height}px`;
    const context = this.#canvas.getContext('2d');
    if (!context || total === 0) return;
    context.scale(scale, scale);
    const y = (/** @type {number} */ index) => (index / total) * height;
    context.fillStyle = style.getPropertyValue('--map-view');
    context.fillRect(0, y(view.top), WIDTH, Math.max(4, y(Math.min(view.lines, total))));
    const mark = (/** @type {Errors} */ { seqs }, /** @type {string} */ color, /** @type {number} */ left) => {
      context.fillStyle = color;
      let last = -1;
      for (const seq of seqs) {
        const index = place(seq);
        const at = Math.floor(Math.min(y(index), height - MARK));
        if (index < 0 || at === last) continue;
        last = at;
        context.fillRect(left, at, WIDTH / 2 - 1, MARK);
      }
    };
    mark(matches, style.getPropertyValue('--map-match'), 1);
    mark(errors, style.getPropertyValue('--map-error'), WIDTH / 2);
    for (const { from, to } of 'ranges' in errors ? errors.ranges : []) {
      const [top, end] = [place(from), place(to)].map(y);
      if (top !== undefined && end !== undefined && top >= 0) context.fillRect(WIDTH / 2, Math.min(top, height - MARK), WIDTH / 2 - 1, Math.max(MARK, end - top));
    }
  }

  /** @param {Finder} matches @param {Errors} errors */
  #describe(matches, errors) {
    const part = (/** @type {Errors} */ { total, seqs }, /** @type {string} */ noun) =>
      total ? plural(total, noun) + (seqs.length < total ? `, ${plural(seqs.length, 'of them').replace(/s$/, '')} drawn` : '') : '';
    const text = [part(matches, 'matching line'), part(errors, 'error')].filter(Boolean).join('; ');
    setAttribute(this, 'aria-label', `Map of the log: ${text || 'no match and no error'}`);
    setAttribute(this, 'title', text || null);
  }
}

customElements.define('sy-map', MatchMap);
