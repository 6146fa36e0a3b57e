/** A state as icon, word and colour. */

import { STATES } from '../model/status.js';
import { h, setText } from './dom.js';
import { icon, setIcon } from './icons.js';

/** @typedef {import('../model/status.js').State} State */

export class StateBadge extends HTMLElement {
  #icon = icon('idle');
  #word = h('span', { class: 'word' });

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#icon, this.#word);
  }

  /** @param {State} state @param {string} [word] */
  update(state, word = STATES[state].word) {
    this.dataset.state = state;
    setIcon(this.#icon, state);
    setText(this.#word, word);
  }
}

customElements.define('sy-state', StateBadge);
