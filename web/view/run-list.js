/** The runs of a host, newest first, more of them on demand. */

import { dateTime, duration } from '../model/format.js';
import { runPath } from '../model/route.js';
import { runState, runWord } from '../model/status.js';
import { resultText } from '../model/summary.js';
import { commandLabel, phaseText } from '../model/words.js';
import { stripAnsi } from '../model/ansi.js';
import { ApiError } from '../net/api.js';
import { h, setText } from './dom.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/types.js').Run} Run */

const PAGE = 30;

export class RunList extends HTMLElement {
  #context;
  #host;
  /** @type {Map<string, {item: HTMLElement, show: (run: Run) => void}>} */
  #items = new Map();
  #list = h('div', { class: 'run-list' });
  #more = h('button', { type: 'button', hidden: true, onclick: () => void this.#older() }, 'Older runs');
  #none = h('p', { class: 'nothing', hidden: true }, 'No run yet.');
  #oldest = '';

  /** @param {import('./context.js').Context} context @param {string} host */
  constructor(context, host) {
    super();
    this.#context = context;
    this.#host = host;
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.append(h('h2', {}, 'Runs'), this.#list, this.#none, this.#more);
    void this.load();
  }

  /** A run that changed or has just begun. @param {Run} run */
  current(run) {
    this.#put(run, true);
  }

  async load() {
    await this.#fetch();
  }

  async #older() {
    await this.#fetch(this.#oldest);
  }

  /** @param {string} [before] */
  async #fetch(before) {
    try {
      const { runs } = await this.#context.api.runs(this.#host, PAGE, before);
      for (const run of runs) this.#put(run, false);
      const last = runs.at(-1);
      if (last && (before || !this.#oldest)) this.#oldest = last.run_id;
      if (before || this.#items.size <= PAGE) this.#more.hidden = runs.length < PAGE;
      this.#none.hidden = this.#items.size > 0;
    } catch (error) {
      // The page itself says that there is no such host.
      if (error instanceof ApiError && error.status === 404) return;
      this.#context.toasts.error(`The runs of ${this.#host} could not be read`, error);
    }
  }

  /** @param {Run} run @param {boolean} newest */
  #put(run, newest) {
    let known = this.#items.get(run.run_id);
    if (!known) {
      known = runItem(run);
      this.#items.set(run.run_id, known);
      const ids = [...this.#list.children].map((child) => /** @type {HTMLElement} */ (child).dataset.run ?? '');
      const behind = newest ? 0 : ids.findIndex((id) => id.slice(0, 19) < run.run_id.slice(0, 19));
      this.#list.insertBefore(known.item, this.#list.children[behind] ?? null);
      this.#none.hidden = true;
    }
    known.show(run);
  }
}

/** @param {Run} first */
function runItem(first) {
  const state = new StateBadge();
  const text = h('span', { class: 'row-text' });
  const took = h('span', { class: 'elapsed' });
  const item = h(
    'a',
    { class: 'run-item', href: runPath(first.host_id, first.run_id), 'data-run': first.run_id },
    state,
    h('strong', {}, commandLabel(first.command)),
    text,
    h('span', { class: 'who' }, first.requested_by ?? ''),
    took,
    h('time', {}, dateTime(first.started ?? first.queued ?? '')),
  );
  const show = (/** @type {Run} */ run) => {
    state.update(runState(run), runWord(run));
    setText(text, stripAnsi(runText(run)));
    setText(took, run.duration_ms == null ? '' : duration(run.duration_ms));
  };
  return { item, show };
}

/** @param {Run} run */
function runText(run) {
  if (run.status === 'running') return phaseText(run) ?? 'starting';
  return resultText(run);
}

customElements.define('sy-run-list', RunList);
