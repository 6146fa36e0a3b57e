/**
 * Says so while the dashboard is out of reach or silent, and when it has a newer page than this one. What is on screen
 * stays, and goes on where it stopped.
 */

import { exactTime, timeOfDay } from '../model/format.js';
import { h, setHint, setText } from './dom.js';
import { icon } from './icons.js';

/** A short break is no news. */
const PATIENCE_MS = 700;
/** The dashboard sends something at least every 10 s. */
const SILENCE_MS = 12_000;

export class ConnectionBanner extends HTMLElement {
  #socket;
  #text = h('span', {});
  #retry = h('button', { type: 'button', onclick: () => this.#socket.retryNow() }, 'Try now');
  #reload = h('button', { type: 'button', onclick: () => location.reload() }, 'Reload');
  /** @type {string | undefined} the version of this page, as the dashboard told it first */
  #version;
  /** Whether the dashboard has another version by now. */
  #isOld = false;
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
    this.setAttribute('role', 'status');
    this.append(icon('lost'), this.#text, this.#retry, this.#reload);
    setInterval(() => this.#draw(), 250);
  }

  /** The dashboard says which version of the page it has. @param {string | undefined} version */
  told(version) {
    if (!version) return;
    this.#version ??= version;
    this.#isOld ||= version !== this.#version;
    this.#draw();
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
    this.hidden = !lost && !silent && !this.#isOld;
    if (this.hidden) return;
    const isOnlyOld = !lost && !silent;
    this.dataset.state = isOnlyOld ? 'updated' : 'lost';
    this.#retry.hidden = isOnlyOld;
    this.#reload.hidden = !isOnlyOld;
    if (isOnlyOld) return setText(this.#text, 'The dashboard was updated');
    const seconds = connection.retryAt ? Math.ceil((connection.retryAt - Date.now()) / 1000) : 0;
    setHint(this.#text, exactTime(heardAt?.toISOString()));
    const asOf = heardAt ? ` Showing the state as of ${timeOfDay(heardAt)}.` : '';
    if (silent) setText(this.#text, `The dashboard does not answer.${asOf} Runs continue.`);
    else setText(this.#text, `Lost connection to the dashboard.${asOf} Runs continue. ${seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…'}`);
  }
}

customElements.define('sy-banner', ConnectionBanner);
