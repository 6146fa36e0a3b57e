/** Says so while the dashboard is out of reach. What is on screen stays, and goes on where it stopped. */

import { h, setText } from './dom.js';

/** A short break is no news. */
const PATIENCE_MS = 700;

export class ConnectionBanner extends HTMLElement {
  #socket;
  #text = h('span', {});
  #since = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {import('../net/socket.js').Socket} socket */
  constructor(socket) {
    super();
    this.#socket = socket;
    this.hidden = true;
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.className = 'banner';
    this.dataset.state = 'lost';
    this.setAttribute('role', 'status');
    const retry = h('button', { type: 'button', onclick: () => this.#socket.retryNow() }, 'Try now');
    this.append(h('span', { class: 'glyph', 'aria-hidden': 'true' }, '⚡'), this.#text, retry);
  }

  /** The state of the connection has changed. */
  refresh() {
    const { state } = this.#socket.connection;
    if (state === 'open' || state === 'closed') {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.hidden = true;
      return;
    }
    if (state === 'waiting' && !this.#timer) {
      this.#since = Date.now();
      this.#timer = setInterval(() => this.#draw(), 250);
    }
    this.#draw();
  }

  #draw() {
    if (!this.#timer || Date.now() - this.#since < PATIENCE_MS) return;
    this.hidden = false;
    const { retryAt } = this.#socket.connection;
    const seconds = retryAt ? Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) : 0;
    const next = seconds > 0 ? `Next try in ${seconds} s.` : 'Trying now.';
    setText(this.#text, `No connection to the dashboard. Runs go on without it; this page shows what was known. ${next}`);
  }
}

customElements.define('sy-banner', ConnectionBanner);
