/** Banners that say what of the dashboard is to be looked at. */

import { h, setAttribute, setText } from './dom.js';
import { icon } from './icons.js';

const KEY = 'switchyard.read';

/** A banner that is drawn when the dashboard's health changes. */
class HealthBanner extends HTMLElement {
  /** @param {import('../net/health.js').Health} health */
  constructor(health) {
    super();
    this.health = health;
    this.hidden = true;
    health.onChange(() => this.draw());
  }

  /** @param {string} state @param {...Node} parts */
  show(state, ...parts) {
    if (this.childElementCount > 0) return;
    this.className = 'banner';
    this.dataset.state = state;
    this.append(...parts);
  }

  draw() {}
}

/** Says so while the dashboard cannot store, for example because its disk is full. */
export class StorageBanner extends HealthBanner {
  #reason = h('strong', {});

  connectedCallback() {
    this.setAttribute('role', 'status');
    this.show('failed', icon('failed'), h('span', {}, this.#reason, ' Hosts keep their output, nothing is lost. Storing resumes by itself when there is space.'));
  }

  /** @override */
  draw() {
    const { fault, isTold } = this.health;
    if (fault !== null) setText(this.#reason, isTold ? `The dashboard cannot store output: ${fault}.` : 'The dashboard cannot store output. Admins can see the reason here.');
    this.hidden = fault === null;
  }
}

/**
 * Says what to do, to those who may know: a line, and all of it when they ask. Who has read it hides it for this tab,
 * until it says something else.
 */
export class WarningBanner extends HealthBanner {
  #texts = h('div', { class: 'warnings', role: 'status' });
  #more = h('button', { type: 'button', 'aria-expanded': 'false', onclick: () => this.#toggle() }, 'Show all');

  connectedCallback() {
    this.show('lost', icon('warning'), this.#texts, this.#more, h('button', { type: 'button', onclick: () => this.#hide() }, 'Hide'));
  }

  /** @override */
  draw() {
    const { warnings } = this.health;
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
    sessionStorage.setItem(KEY, this.health.warnings.join('\n'));
    this.draw();
  }
}

customElements.define('sy-storage', StorageBanner);
customElements.define('sy-warnings', WarningBanner);
