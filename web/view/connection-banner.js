/** Says so while the dashboard is out of reach or silent. What is on screen stays, and goes on where it stopped. */

import { timeOfDay } from '../model/format.js';
import { h, setText } from './dom.js';
import { icon } from './icons.js';

/** A short break is no news. */
const PATIENCE_MS = 700;
/** The dashboard sends something at least every 10 s. */
const SILENCE_MS = 12_000;

export class ConnectionBanner extends HTMLElement {
  #socket;
  #text = h('span', {});
  /** Since when there is no connection. */
  #since = 0;

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
    this.append(icon('lost'), this.#text, retry);
    setInterval(() => this.#draw(), 250);
  }

  /** The state of the connection has changed. */
  refresh() {
    const { state } = this.#socket.connection;
    if (state === 'open' || state === 'closed') this.#since = 0;
    else if (state === 'waiting' && this.#since === 0) this.#since = performance.now();
    this.#draw();
  }

  #draw() {
    const { connection, heardAt, silentFor } = this.#socket;
    const lost = this.#since > 0 && performance.now() - this.#since >= PATIENCE_MS;
    const silent = connection.state === 'open' && silentFor >= SILENCE_MS;
    this.hidden = !lost && !silent;
    if (this.hidden) return;
    const seconds = connection.retryAt ? Math.ceil((connection.retryAt - Date.now()) / 1000) : 0;
    const asOf = heardAt ? ` Showing the state as of ${timeOfDay(heardAt)}.` : '';
    if (silent) setText(this.#text, `The dashboard does not answer.${asOf} Runs continue.`);
    else setText(this.#text, `Lost connection to the dashboard.${asOf} Runs continue. ${seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…'}`);
  }
}

customElements.define('sy-banner', ConnectionBanner);
