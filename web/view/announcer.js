/** Tells a screen reader about states that change, and now and then how far the run is that is looked at. */

import { runState, runWord } from '../model/status.js';
import { parseRoute } from '../model/route.js';
import { commandLabel, phaseCount, phaseWord } from '../model/words.js';
import { setText } from './dom.js';

/** How often it says how far a run is, at most. */
const COUNT_MS = 10_000;
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
  #counted = '';

  /** @param {import('../model/fleet.js').Fleet} fleet */
  constructor(fleet) {
    super();
    this.#fleet = fleet;
  }

  connectedCallback() {
    this.className = 'unseen';
    this.setAttribute('role', 'status');
    setInterval(() => this.#count(), COUNT_MS);
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

  #count() {
    const route = parseRoute(location.pathname);
    const run = route.name === 'run' ? this.#fleet.findRun(route.host, route.run) : undefined;
    const progress = run?.status === 'running' ? phaseCount(run) : null;
    if (!run?.phase || !progress) return;
    const text = `${phaseWord(run.phase)}, ${progress.done} of ${progress.expected}`;
    if (text === this.#counted || this.#timer) return;
    this.#counted = text;
    setText(this, text);
  }

  #speak() {
    this.#timer = undefined;
    const more = this.#news.length > MAX_NAMED ? `, and ${this.#news.length - MAX_NAMED} more` : '';
    setText(this, this.#news.slice(0, MAX_NAMED).join('. ') + more);
    this.#news = [];
  }
}

customElements.define('sy-announcer', Announcer);
