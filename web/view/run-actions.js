/** What can be done from the page of a run: run it again, and go to the runs before and after it. */

import { runPath } from '../model/route.js';
import { isBusy } from '../model/status.js';
import { commandText, conflictText } from '../model/summary.js';
import { commandLabel, VIEWER } from '../model/words.js';
import { h, setAttribute, setHint } from './dom.js';
import { icon } from './icons.js';

/** @typedef {import('../model/types.js').Run} Run */
/** @typedef {'older' | 'newer'} Which */

export class RunActions extends HTMLElement {
  #context;
  #host;
  #runId;
  /** The runs beside this one; undefined while it is not known, null where there is none. @type {Record<Which, Run | null | undefined>} */
  #beside = { older: undefined, newer: undefined };
  /** The run that was the host's last one when newer runs were asked for. */
  #askedWith = '';
  /** @type {Run | null} */
  #run = null;
  #links = { older: link('left', 'Older', 'o'), newer: link('right', 'Newer', 'O') };
  #again = h('button', { type: 'button', hidden: true, onclick: () => void this.#runAgain() }, 'Run again');

  /** @param {import('./context.js').Context} context @param {string} host @param {string} run */
  constructor(context, host, run) {
    super();
    this.#context = context;
    this.#host = host;
    this.#runId = run;
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#links.older, this.#links.newer, this.#again);
  }

  /** @param {Which} which */
  go(which) {
    const run = this.#beside[which];
    if (run) return this.#context.go(runPath(run.host_id, run.run_id));
    if (run === null) this.#context.toasts.notice(`This is the ${which === 'older' ? 'oldest' : 'newest'} run of ${this.#host}`);
  }

  /** @param {Run} run */
  update(run) {
    this.#run = run;
    const host = this.#context.fleet.hosts.get(run.host_id);
    this.#drawAgain(run, host);
    for (const which of /** @type {Which[]} */ (['older', 'newer'])) this.#drawLink(which);
    if (this.#beside.older === undefined) void this.#ask('older');
    const last = host?.run?.run_id ?? '';
    if (!this.#beside.newer && last !== this.#askedWith) {
      this.#askedWith = last;
      void this.#ask('newer');
    }
  }

  /** @param {Which} which */
  async #ask(which) {
    this.#beside[which] ??= null;
    const { api } = this.#context;
    try {
      const { runs } = await (which === 'older' ? api.runs(this.#host, 1, this.#runId) : api.newerRuns(this.#host, 1, this.#runId));
      this.#beside[which] = runs[0] ?? null;
      this.#drawLink(which);
    } catch {
      // It is asked again after a reconnect; meanwhile the host's page leads there, too.
      this.#beside[which] = undefined;
      this.#askedWith = which === 'newer' ? '-' : this.#askedWith;
    }
  }

  /** @param {Which} which */
  #drawLink(which) {
    const run = this.#beside[which];
    const [element, end] = [this.#links[which], which === 'older' ? 'oldest' : 'newest'];
    setAttribute(element, 'href', run && runPath(run.host_id, run.run_id));
    setAttribute(element, 'aria-disabled', run ? null : 'true');
    setHint(element, run ? `${commandLabel(run.command)}, the ${which} run (${which === 'older' ? 'o' : 'O'})` : run === null ? `This is the ${end} run` : '');
  }

  /** @param {Run} run @param {import('../model/types.js').Host | undefined} host */
  #drawAgain(run, host) {
    const { actions } = this.#context;
    this.#again.hidden = isBusy(run);
    const name = commandText(run);
    const offers = !host?.commands?.length || [run.command, run.then].every((command) => !command || host.commands?.includes(command));
    const why =
      actions.forbidden ? VIEWER
      : !host ? `${run.host_id} is no longer a host of this dashboard`
      : !offers ? `${run.host_id} does not offer ${name}`
      : host.conflict ? `${conflictText(host)}: choose one first`
      : isBusy(host.run) || actions.pending(run.host_id) ? `${run.host_id} is busy. Wait for its run, or stop it.`
      : '';
    this.#again.disabled = why !== '';
    this.#again.classList.toggle('soft', run.status !== 'ok');
    setAttribute(this.#again, 'aria-label', `Run again: ${name} on ${run.host_id}`);
    setHint(this.#again, why || `Run ${name} on ${run.host_id} again with the current configuration`);
  }

  async #runAgain() {
    const run = this.#run;
    if (!run) return;
    const started = await this.#context.actions.startAgain(run);
    if (started) this.#context.go(runPath(run.host_id, started));
  }
}

/** @param {'left' | 'right'} name @param {string} label @param {string} key */
function link(name, label, key) {
  const parts = [icon(name), h('span', {}, label)];
  return h('a', { class: 'tool', 'aria-disabled': 'true', 'aria-keyshortcuts': key }, ...(name === 'left' ? parts : parts.reverse()));
}

customElements.define('sy-run-actions', RunActions);
