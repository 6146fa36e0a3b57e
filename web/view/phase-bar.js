/** What a running run is doing, with a bar where nix said how much there is. */

import { phaseCount, phaseText } from '../model/words.js';
import { h, setAttribute, setText } from './dom.js';

/** @typedef {import('../model/types.js').Run} Run */

export class PhaseBar extends HTMLElement {
  #text = h('span', { class: 'phase-text' });
  #bar = h('span', { class: 'phase-fill' });
  #track = h('span', { class: 'phase-track', role: 'progressbar' }, this.#bar);
  #failed = h('span', { class: 'phase-failed' });

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#text, this.#track, this.#failed);
  }

  /** @param {Run} run */
  update(run) {
    const text = phaseText(run) ?? 'Starting';
    const progress = phaseCount(run);
    setText(this.#text, text);
    setAttribute(this.#track, 'aria-label', text);
    setAttribute(this.#track, 'aria-valuenow', progress?.done);
    setAttribute(this.#track, 'aria-valuemax', progress?.expected);
    this.#track.classList.toggle('unknown', !progress);
    const part = progress ? Math.min(1, progress.done / Math.max(progress.expected, 1)) : 0;
    this.#bar.style.transform = progress ? `scaleX(${part})` : '';
    setText(this.#failed, run.failed ? `${run.failed} failed` : '');
  }
}

customElements.define('sy-phase', PhaseBar);
