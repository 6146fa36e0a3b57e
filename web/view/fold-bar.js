/** The head that stays: which phase and derivation the line at the upper edge of a log is of, and what folds them. */

import { derivationOf } from '../model/derivation.js';
import { plural } from '../model/format.js';
import { MAX_SECTIONS } from '../model/folds.js';
import { h, setAttribute, setText } from './dom.js';

/** @typedef {import('../net/folded-source.js').FoldedSource} FoldedSource */

export class FoldBar extends HTMLElement {
  /** Called when something was folded or unfolded by a person. @type {() => void} */
  onFold = () => {};
  /** Tells why something was not folded. @type {(title: string, error: unknown) => void} */
  say = () => {};
  #view;
  /** @type {FoldedSource | null} */
  #source = null;
  #picked = false;
  #phase = this.#crumb();
  #derivation = this.#crumb();
  #all = h('button', { type: 'button', class: 'fold-all', title: 'Fold or unfold all phases (Z)', onclick: () => this.toggleAll() });

  /** @param {import('./log-view.js').LogView} view */
  constructor(view) {
    super();
    this.#view = view;
    this.hidden = true;
    view.onFold = (key) => {
      view.pause('jumped');
      view.scroller.focus({ preventScroll: true });
      this.toggle(key);
    };
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#phase, this.#derivation, h('span', { class: 'gap' }), this.#all);
  }

  /** @param {FoldedSource} source */
  set source(source) {
    this.#source = source;
  }

  /** Whether the log shows the output of one derivation, which has no sections. @param {boolean} on */
  set picked(on) {
    this.#picked = on;
    this.draw();
  }

  get #folds() {
    return this.#source?.folds;
  }

  /** @param {import('../model/phases.js').PhaseRow[]} rows */
  setPhases(rows) {
    if (!this.#folds?.setPhases(rows)) return;
    this.#view.pool.forget();
    this.#view.redraw();
    this.draw();
  }

  /** What is folded, as an address has it. */
  get keys() {
    return this.#folds?.keys ?? [];
  }

  /** Folds what an address says, and nothing else. @param {string[]} keys */
  apply(keys) {
    const folds = this.#folds;
    if (!folds) return;
    const wanted = keys.slice(0, MAX_SECTIONS);
    for (const key of folds.keys) if (!wanted.includes(key)) this.#unfold(key);
    for (const key of wanted) if (!folds.isFolded(key)) this.#fold(key);
  }

  /** Unfolds what hides a line. @param {number} seq */
  reveal(seq) {
    const folds = this.#folds;
    if (!folds?.isHidden(seq)) return;
    this.#view.refold(() => folds.reveal(seq));
    this.#changed();
  }

  /** @param {string} key of a section */
  toggle(key) {
    if (this.#folds?.isFolded(key)) this.#unfold(key);
    else this.#fold(key);
  }

  /** What the line at the upper edge is of: its derivation, else its phase. */
  toggleTop() {
    const { phase, name } = this.#top;
    const key = name || phase?.key;
    if (key) this.toggle(key);
  }

  /** Folds all phases, or unfolds everything where they are. */
  toggleAll() {
    const folds = this.#folds;
    if (!folds) return;
    const open = folds.phases.filter(({ key }) => !folds.isFolded(key));
    this.#view.refold(() => {
      if (open.length > 0) for (const { key } of open) folds.foldPhase(key);
      else for (const key of folds.keys) folds.unfold(key);
    });
    this.#changed();
  }

  /** @param {string} key */
  #unfold(key) {
    this.#view.refold(() => this.#folds?.unfold(key));
    this.#changed();
  }

  /** @param {string} key */
  #fold(key) {
    if (key.startsWith(':')) {
      this.#view.refold(() => this.#folds?.foldPhase(key));
      return this.#changed();
    }
    const folded = this.#source?.foldOutput(key, (change) => {
      this.#view.refold(change);
      this.#changed();
    });
    folded?.catch((error) => this.say(`Could not fold the output of ${key}`, error));
  }

  #changed() {
    this.draw();
    this.onFold();
  }

  /** The sections of the line at the upper edge. */
  get #top() {
    const seq = this.#view.topSeq;
    const head = this.#folds?.headAt(seq);
    const line = head ? null : this.#source?.model.get(this.#view.topIndex)?.line;
    const name = head ? (head.key.startsWith(':') ? '' : head.key) : line ? (derivationOf(line) ?? '') : '';
    return { phase: this.#folds?.phaseAt(seq) ?? null, name };
  }

  draw() {
    const folds = this.#folds;
    this.hidden = this.#picked || !folds || folds.phases.length === 0;
    if (!folds || this.hidden) return;
    const { phase, name } = this.#top;
    const lines = phase ? ` · ${plural(folds.lines(phase, this.#source?.lineTotal ?? 0), 'line')}` : '';
    this.#drawCrumb(this.#phase, phase?.key ?? '', phase?.label ?? '', `${phase?.glyph ?? ''}${phase?.label ?? ''}${lines}`);
    this.#drawCrumb(this.#derivation, name, name, name);
    setText(this.#all, folds.phases.every(({ key }) => folds.isFolded(key)) ? 'Unfold all' : 'Fold all');
  }

  #crumb() {
    const crumb = h('button', { type: 'button', class: 'fold', onclick: () => this.toggle(crumb.dataset.fold ?? '') });
    return crumb;
  }

  /** @param {HTMLElement} crumb @param {string} key @param {string} label @param {string} text */
  #drawCrumb(crumb, key, label, text) {
    crumb.hidden = key === '';
    if (crumb.hidden) return;
    const open = !this.#folds?.isFolded(key);
    setAttribute(crumb, 'data-fold', key);
    setAttribute(crumb, 'data-label', text);
    setAttribute(crumb, 'aria-expanded', String(open));
    setAttribute(crumb, 'aria-label', `${open ? 'Fold' : 'Unfold'} ${label}`);
    setAttribute(crumb, 'title', `${open ? 'Fold' : 'Unfold'} ${label} (z)`);
  }
}

customElements.define('sy-folds', FoldBar);
