/** A state as glyph, word and colour. */

import { STATES } from '../model/status.js';
import { h, setText } from './dom.js';

/** @typedef {import('../model/status.js').State} State */

export class StateBadge extends HTMLElement {
  #glyph = h('span', { class: 'glyph', 'aria-hidden': 'true' });
  #word = h('span', { class: 'word' });

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#glyph, this.#word);
  }

  /** @param {State} state @param {string} [word] */
  update(state, word = STATES[state].word) {
    this.dataset.state = state;
    setText(this.#glyph, STATES[state].glyph);
    setText(this.#word, word);
  }
}

customElements.define('sy-state', StateBadge);
