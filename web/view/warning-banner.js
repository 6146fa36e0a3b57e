/**
 * Says what of the dashboard is to be looked at, and what to do, to those who may know: a line, and all of it when they
 * ask. Who has read it hides it for this tab, until it says something else.
 */

import { h, setAttribute, setText } from './dom.js';
import { icon } from './icons.js';

const KEY = 'switchyard.read';

export class WarningBanner extends HTMLElement {
  #health;
  #texts = h('div', { class: 'warnings', role: 'status' });
  #more = h('button', { type: 'button', 'aria-expanded': 'false', onclick: () => this.#toggle() }, 'Show all');

  /** @param {import('../net/health.js').Health} health */
  constructor(health) {
    super();
    this.#health = health;
    this.hidden = true;
    health.onChange(() => this.#draw());
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.className = 'banner';
    this.dataset.state = 'lost';
    const hide = h('button', { type: 'button', onclick: () => this.#hide() }, 'Hide');
    this.append(icon('warning'), this.#texts, this.#more, hide);
  }

  #draw() {
    const { warnings } = this.#health;
    this.hidden = warnings.length === 0 || sessionStorage.getItem(KEY) === warnings.join('\n');
    if (this.hidden) return this.#texts.replaceChildren();
    while (this.#texts.childElementCount > warnings.length) this.#texts.lastElementChild?.remove();
    for (const [i, text] of warnings.entries()) {
      setText(this.#texts.children[i] ?? this.#texts.appendChild(h('p', {})), `${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
    }
  }

  #toggle() {
    const open = this.classList.toggle('open');
    setText(this.#more, open ? 'Show less' : 'Show all');
    setAttribute(this.#more, 'aria-expanded', String(open));
    // Where it is higher than its part of a small window it scrolls, also by keys.
    setAttribute(this.#texts, 'tabindex', open ? 0 : null);
  }

  #hide() {
    sessionStorage.setItem(KEY, this.#health.warnings.join('\n'));
    this.#draw();
  }
}

customElements.define('sy-warnings', WarningBanner);
