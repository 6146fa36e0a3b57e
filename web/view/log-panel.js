/** A run's log with its toolbar. It subscribes while it is on the page. */

import { runPath } from '../model/route.js';
import { isBusy } from '../model/status.js';
import { LogSource } from '../net/log-source.js';
import { linesText } from '../model/summary.js';
import { h, setAttribute, setText } from './dom.js';
import { LogView } from './log-view.js';

/** @typedef {import('../model/types.js').Run} Run */
/** @typedef {import('./log-row.js').Times} Times */

/** @type {Record<Times, {next: Times, label: string}>} */
const TIMES = {
  clock: { next: 'elapsed', label: 'Times: clock' },
  elapsed: { next: 'off', label: 'Times: elapsed' },
  off: { next: 'clock', label: 'Times: off' },
};

export class LogPanel extends HTMLElement {
  view = new LogView();
  #context;
  #run;
  /** @type {LogSource | null} */
  #source = null;
  #follow = tool('Follow', 'Follow the end of the log (f)', () => this.#toggleFollow());
  #wrap = tool('Wrap', 'Wrap long lines (w)', () => this.#toggleWrap());
  #times = tool(TIMES.clock.label, 'Times as clock, since the start, or off (t)', () => this.#nextTimes());
  #copy = tool('Copy', 'Copy the whole log as text', () => void this.#copyAll());
  #full = tool('Full screen', 'Show only the log', () => void this.#fullScreen());
  #info = h('span', { class: 'log-info' });
  #toolbar;

  /**
   * @param {import('./context.js').Context} context @param {Run} run
   * @param {boolean} linked whether the toolbar leads to the run's own page
   */
  constructor(context, run, linked) {
    super();
    this.#context = context;
    this.#run = run;
    const download = (/** @type {'txt'|'json'} */ format) =>
      h('a', { class: 'tool', href: context.api.downloadUrl(run.host_id, run.run_id, format), download: '', title: `Download the log as ${format}` }, `↓ ${format}`);
    this.#toolbar = h(
      'div',
      { class: 'log-toolbar', role: 'toolbar', 'aria-label': 'Log' },
      this.#follow, this.#wrap, this.#times, h('span', { class: 'gap' }), this.#info,
      this.#copy, download('txt'), download('json'), this.#full,
      linked && h('a', { class: 'tool', href: runPath(run.host_id, run.run_id), title: 'The page of this run' }, 'Open run →'),
    );
    this.addEventListener('keydown', (event) => this.#keydown(event));
  }

  get runId() {
    return this.#run.run_id;
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#toolbar, this.view);
    this.view.onChange = () => this.#drawTools();
    const { socket, api } = this.#context;
    this.#source = new LogSource(socket, api, this.#run.host_id, this.#run.run_id);
    this.view.show(this.#source);
    this.update(this.#run);
  }

  disconnectedCallback() {
    this.#source?.close();
    this.#source = null;
  }

  /** @param {Run} run */
  update(run) {
    this.#run = run;
    this.#drawTools();
    const empty = run.status === 'queued' ? 'The run waits in the queue; its lines will appear here.' : isBusy(run) ? 'No output yet.' : 'This run has no output.';
    this.view.describe(`Log of ${run.command} on ${run.host_id}`, run.started ?? null, isBusy(run) || run.status === 'lost', empty);
  }

  #drawTools() {
    const host = this.#context.fleet.hosts.get(this.#run.host_id);
    const lost = this.#run.status === 'running' && host && !host.online;
    setText(this.#info, lost ? '⚡ lost contact, the run may go on' : linesText(this.#run, this.view.total));
    this.#info.classList.toggle('lost', Boolean(lost));
    setAttribute(this.#follow, 'aria-pressed', String(this.view.follow.following));
    setAttribute(this.#wrap, 'aria-pressed', String(this.view.wrap));
    setText(this.#times, TIMES[this.view.times].label);
  }

  #toggleFollow() {
    if (this.view.follow.following) this.view.pause('switched off');
    else this.view.resume();
  }

  #toggleWrap() {
    this.view.wrap = !this.view.wrap;
    this.#drawTools();
  }

  #nextTimes() {
    this.view.times = TIMES[this.view.times].next;
    this.#drawTools();
  }

  async #copyAll() {
    try {
      await navigator.clipboard.writeText(await this.#context.api.logText(this.#run.host_id, this.#run.run_id));
      this.#context.toasts.notice('The whole log is on the clipboard');
    } catch (error) {
      this.#context.toasts.error('The log was not copied; download it instead', error);
    }
  }

  async #fullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.requestFullscreen().catch((error) => this.#context.toasts.error('Full screen is not possible here', error));
  }

  /** @param {KeyboardEvent} event */
  #keydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'f') this.#toggleFollow();
    else if (event.key === 'w') this.#toggleWrap();
    else if (event.key === 't') this.#nextTimes();
  }
}

/** @param {string} label @param {string} help @param {() => void} act */
function tool(label, help, act) {
  return h('button', { type: 'button', class: 'tool', title: help, onclick: act }, label);
}

customElements.define('sy-log-panel', LogPanel);
