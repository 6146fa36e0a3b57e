/** The runs of a host, newest first, more of them on demand; by command and by how they ended. */

import { count, duration, plural } from '../model/format.js';
import { runPath } from '../model/route.js';
import { newestFirst, runState, runWord } from '../model/status.js';
import { generationText, resultText } from '../model/summary.js';
import { commandLabel, phaseText } from '../model/words.js';
import { ApiError } from '../net/api.js';
import { h, setText, timeOf } from './dom.js';
import { DurationChart } from './duration-chart.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/types.js').Run} Run */

const PAGE = 100;
/** Where few runs of a page match, so many pages are read before somebody asks for more. */
const PAGES_AT_ONCE = 5;
/** What was missed while the connection was broken is read in so many pages at most. */
const MISSED_PAGES = 50;
/** @type {Run['status'][]} */
const STATUSES = ['queued', 'running', 'ok', 'error', 'stopped', 'lost', 'expired', 'rejected'];

export class RunList extends HTMLElement {
  #context;
  #host;
  /** @type {Map<string, {item: HTMLElement, run: Run, show: (run: Run) => void}>} */
  #items = new Map();
  #command = select('Command', 'Any command');
  #status = select('Result', 'Any result');
  #matching = h('span', { class: 'quiet' });
  #chart = new DurationChart();
  #list = h('div', { class: 'run-list' });
  #more = h('button', { type: 'button', hidden: true, onclick: () => void this.#older() }, 'Older runs');
  #none = h('p', { class: 'nothing', hidden: true });
  #oldest = '';
  #everything = false;

  /** @param {import('./context.js').Context} context @param {string} host */
  constructor(context, host) {
    super();
    this.#context = context;
    this.#host = host;
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    for (const status of STATUSES) this.#status.append(h('option', { value: status }, runWord({ status })));
    for (const choice of [this.#command, this.#status]) choice.addEventListener('change', () => this.#filtered());
    const bar = h('div', { class: 'runs-bar' }, h('h2', {}, 'Runs'), h('span', { class: 'gap' }), this.#matching, this.#command, this.#status);
    this.append(this.#chart, bar, this.#list, this.#none, this.#more);
    void this.load();
  }

  /** A run that changed or has just begun. @param {Run} run */
  current(run) {
    if (this.#items.get(run.run_id)?.run === run) return;
    this.#put(run);
    this.#draw();
  }

  /** Reads the newest runs, and on to the first that is known. */
  async load() {
    const known = new Set(this.#items.keys());
    let runs = await this.#fetch();
    for (let i = 0; known.size > 0 && i < MISSED_PAGES; i++) {
      const last = runs.at(-1);
      if (!last || runs.length < PAGE || runs.some(({ run_id }) => known.has(run_id))) return;
      runs = await this.#fetch(last.run_id, true);
    }
  }

  async #older() {
    await this.#fetch(this.#oldest);
  }

  #filtered() {
    this.#draw();
    void this.#fill();
  }

  /** Reads on while hardly anything of what is here matches. */
  async #fill() {
    for (let i = 0; i < PAGES_AT_ONCE && !this.#everything && this.#shown < PAGE / 4; i++) await this.#older();
  }

  get #shown() {
    return [...this.#items.values()].filter(({ item }) => !item.hidden).length;
  }

  /** @param {string} [before] @param {boolean} [missed] whether runs that are known follow @returns {Promise<Run[]>} */
  async #fetch(before, missed = false) {
    try {
      const { runs } = await this.#context.api.runs(this.#host, PAGE, before);
      for (const run of runs) this.#put(run);
      const last = runs.at(-1);
      const further = before !== undefined && !missed;
      if (last && (further || !this.#oldest)) this.#oldest = last.run_id;
      if (further || this.#items.size <= PAGE) this.#everything = runs.length < PAGE;
      this.#draw();
      return runs;
    } catch (error) {
      // The page itself says that there is no such host.
      if (error instanceof ApiError && error.status === 404) return [];
      this.#context.toasts.error(`Could not load the runs of ${this.#host}`, error);
      return [];
    }
  }

  #draw() {
    const known = new Set([...this.#command.options].map((option) => option.value));
    for (const { run } of this.#items.values()) {
      if (known.has(run.command)) continue;
      known.add(run.command);
      this.#command.append(h('option', { value: run.command }, commandLabel(run.command)));
    }
    const filtered = this.#command.value !== '' || this.#status.value !== '';
    for (const { item, run } of this.#items.values()) {
      item.hidden = (this.#command.value !== '' && run.command !== this.#command.value) || (this.#status.value !== '' && run.status !== this.#status.value);
    }
    const shown = this.#shown;
    const of = this.#everything ? plural(this.#items.size, 'run') : `the latest ${count(this.#items.size)}`;
    setText(this.#matching, filtered ? `${count(shown)} of ${of}` : '');
    this.#more.hidden = this.#everything;
    this.#none.hidden = shown > 0;
    setText(this.#none, this.#items.size === 0 ? 'No runs yet.' : this.#everything ? 'No runs match.' : 'None of the latest runs match.');
    const runs = [...this.#items.values()].map(({ run }) => run).sort(newestFirst);
    this.#chart.draw(runs, this.#command.value);
  }

  /** @param {Run} run */
  #put(run) {
    let known = this.#items.get(run.run_id);
    if (!known) {
      known = { run, ...runItem(run) };
      this.#items.set(run.run_id, known);
      const behind = [...this.#list.children].find((child) => {
        const other = this.#items.get(/** @type {HTMLElement} */ (child).dataset.run ?? '');
        return other && newestFirst(run, other.run) < 0;
      });
      this.#list.insertBefore(known.item, behind ?? null);
    }
    known.run = run;
    known.show(run);
  }
}

/** @param {string} label @param {string} any */
function select(label, any) {
  return h('select', { 'aria-label': label }, h('option', { value: '' }, any));
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
    timeOf(first.started ?? first.queued ?? ''),
  );
  const show = (/** @type {Run} */ run) => {
    state.update(runState(run), runWord(run));
    setText(text, runText(run));
    setText(took, run.duration_ms == null ? '' : duration(run.duration_ms));
  };
  return { item, show };
}

/** @param {Run} run */
function runText(run) {
  if (run.status === 'running') return phaseText(run) ?? 'starting';
  const result = resultText(run);
  const generation = run.generation_after !== run.generation_before ? generationText(run) : '';
  return generation && !result.includes(generation) ? `${result} · ${generation}` : result;
}

customElements.define('sy-run-list', RunList);
