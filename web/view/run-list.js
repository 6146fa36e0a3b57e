/** The runs of a host, newest first, more of them on demand; by command and by how they ended. */

import { stripAnsi } from '../model/ansi.js';
import { count, dateTime, duration, plural } from '../model/format.js';
import { runPath } from '../model/route.js';
import { runState, runWord } from '../model/status.js';
import { generationText, resultText } from '../model/summary.js';
import { commandLabel, phaseText } from '../model/words.js';
import { ApiError } from '../net/api.js';
import { h, setText } from './dom.js';
import { DurationChart } from './duration-chart.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/types.js').Run} Run */

const PAGE = 100;
/** Where few runs of a page match, so many pages are read before somebody asks for more. */
const PAGES_AT_ONCE = 5;
/** Ids begin with the time; in one second they are counted. */
const byTime = new Intl.Collator('en', { numeric: true });
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
    for (const status of STATUSES) this.#status.append(h('option', { value: status }, status === 'error' ? 'failed' : status));
    for (const choice of [this.#command, this.#status]) choice.addEventListener('change', () => this.#filtered());
    const bar = h('div', { class: 'runs-bar' }, h('h2', {}, 'Runs'), h('span', { class: 'gap' }), this.#matching, this.#command, this.#status);
    this.append(this.#chart, bar, this.#list, this.#none, this.#more);
    void this.load();
  }

  /** A run that changed or has just begun. @param {Run} run */
  current(run) {
    if (this.#items.get(run.run_id)?.run === run) return;
    this.#put(run, true);
    this.#draw();
  }

  async load() {
    await this.#fetch();
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

  /** @param {string} [before] */
  async #fetch(before) {
    try {
      const { runs } = await this.#context.api.runs(this.#host, PAGE, before);
      for (const run of runs) this.#put(run, false);
      const last = runs.at(-1);
      if (last && (before || !this.#oldest)) this.#oldest = last.run_id;
      if (before || this.#items.size <= PAGE) this.#everything = runs.length < PAGE;
      this.#draw();
    } catch (error) {
      // The page itself says that there is no such host.
      if (error instanceof ApiError && error.status === 404) return;
      this.#context.toasts.error(`Could not load the runs of ${this.#host}`, error);
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
    const runs = [...this.#items.values()].map(({ run }) => run).sort((a, b) => byTime.compare(b.run_id, a.run_id));
    this.#chart.draw(runs, this.#command.value);
  }

  /** @param {Run} run @param {boolean} newest */
  #put(run, newest) {
    let known = this.#items.get(run.run_id);
    if (!known) {
      known = { run, ...runItem(run) };
      this.#items.set(run.run_id, known);
      const ids = [...this.#list.children].map((child) => /** @type {HTMLElement} */ (child).dataset.run ?? '');
      const behind = newest ? 0 : ids.findIndex((id) => id.slice(0, 19) < run.run_id.slice(0, 19));
      this.#list.insertBefore(known.item, this.#list.children[behind] ?? null);
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
  const result = resultText(run);
  const generation = run.generation_after !== run.generation_before ? generationText(run) : '';
  return generation && !result.includes(generation) ? `${result} · ${generation}` : result;
}

customElements.define('sy-run-list', RunList);
