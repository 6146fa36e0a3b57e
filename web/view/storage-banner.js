/** Says so while the dashboard cannot store, for example because its disk is full. */

import { h, setText } from './dom.js';

export class StorageBanner extends HTMLElement {
  #health;
  #reason = h('strong', {});

  /** @param {import('../net/health.js').Health} health */
  constructor(health) {
    super();
    this.#health = health;
    this.hidden = true;
    health.onChange = () => this.#draw();
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.className = 'banner';
    this.dataset.state = 'failed';
    this.setAttribute('role', 'status');
    const meaning = 'The hosts keep their lines meanwhile, so nothing is lost; it goes on by itself as soon as it can store again, on a full disk when there is room.';
    this.append(h('span', { class: 'glyph', 'aria-hidden': 'true' }, '✗'), h('span', {}, this.#reason, ' ', meaning));
  }

  #draw() {
    const { fault } = this.#health;
    if (fault !== null) setText(this.#reason, `The dashboard cannot store: ${fault}.`);
    this.hidden = fault === null;
  }
}

customElements.define('sy-storage', StorageBanner);
