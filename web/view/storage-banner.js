/** Says so while the dashboard cannot store, for example because its disk is full. */

import { h, setText } from './dom.js';
import { icon } from './icons.js';

export class StorageBanner extends HTMLElement {
  #health;
  #reason = h('strong', {});

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
    this.dataset.state = 'failed';
    this.setAttribute('role', 'status');
    const meaning = 'Hosts keep their output, nothing is lost. Storing resumes by itself when there is space.';
    this.append(icon('failed'), h('span', {}, this.#reason, ' ', meaning));
  }

  #draw() {
    const { fault, isTold } = this.#health;
    if (fault !== null) setText(this.#reason, isTold ? `The dashboard cannot store: ${fault}.` : 'The dashboard cannot store. Its admins see here why.');
    this.hidden = fault === null;
  }
}

customElements.define('sy-storage', StorageBanner);
