/** A page that few open: its code is asked for when somebody does. */

import { h } from './dom.js';
import { notFound } from './nowhere-page.js';

/** @typedef {HTMLElement & {reconnected?: () => void}} Page */

export class LaterPage extends HTMLElement {
  #load;
  /** @type {Page | null} */
  #page = null;

  /** @param {() => Promise<Page>} load */
  constructor(load) {
    super();
    this.#load = load;
  }

  async connectedCallback() {
    try {
      this.#page = await this.#load();
      this.replaceChildren(this.#page);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      this.replaceChildren(notFound('This page could not be loaded', `Check the connection to the dashboard, then reload. ${detail}`, h('button', { type: 'button', onclick: () => location.reload() }, 'Reload')));
    }
  }

  reconnected() {
    this.#page?.reconnected?.();
  }
}

customElements.define('sy-later', LaterPage);
