/** Tells a screen reader about states that change, and nothing else. */

import { runState, runWord } from '../model/status.js';
import { commandLabel } from '../model/words.js';
import { setText } from './dom.js';

/** At most this many hosts are named at once. */
const MAX_NAMED = 3;

export class Announcer extends HTMLElement {
  #fleet;
  /** @type {Map<string, string>} */
  #said = new Map();
  /** @type {string[]} */
  #news = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {import('../model/fleet.js').Fleet} fleet */
  constructor(fleet) {
    super();
    this.#fleet = fleet;
  }

  connectedCallback() {
    this.className = 'unseen';
    this.setAttribute('role', 'status');
    this.#fleet.onChange((host) => (host ? this.#look(host, true) : this.#fleet.hosts.forEach((_, id) => this.#look(id, false))));
  }

  /** @param {string} id @param {boolean} aloud */
  #look(id, aloud) {
    const run = this.#fleet.hosts.get(id)?.run;
    if (!run) return;
    const now = `${run.run_id} ${run.status}`;
    if (this.#said.get(id) === now) return;
    this.#said.set(id, now);
    if (!aloud || runState(run) === 'queued') return;
    this.#news.push(`${commandLabel(run.command)} on ${id}: ${runWord(run)}`);
    this.#timer ??= setTimeout(() => this.#speak(), 1000);
  }

  #speak() {
    this.#timer = undefined;
    const more = this.#news.length > MAX_NAMED ? `, and ${this.#news.length - MAX_NAMED} more` : '';
    setText(this, this.#news.slice(0, MAX_NAMED).join('. ') + more);
    this.#news = [];
  }
}

customElements.define('sy-announcer', Announcer);
