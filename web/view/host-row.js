/** One host of the fleet: its deployment, what it does, its last run, a button, and its log in place. */

import { stripAnsi } from '../model/ansi.js';
import { plural } from '../model/format.js';
import { hostPath, runPath } from '../model/route.js';
import { deploymentOf, hostState, hostWord, isBusy, runState } from '../model/status.js';
import { endText, hostText, lastText, revisionText } from '../model/summary.js';
import { ActionBar } from './action-bar.js';
import { h, setAttribute, setHint, setText } from './dom.js';
import { icon, setIcon } from './icons.js';
import { LogPanel } from './log-panel.js';
import { PhaseBar } from './phase-bar.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/types.js').Host} Host */

const SMALL = '(max-width: 820px)';

export class HostRow extends HTMLElement {
  #context;
  #lastLines;
  #details;
  #id;
  #select;
  #state = new StateBadge();
  #revision = h('span', { class: 'revision' });
  #phase = new PhaseBar();
  #text = h('span', { class: 'row-text' });
  #line = h('span', { class: 'row-line' });
  #last = h('span', { class: 'elapsed' });
  #lines = h('span', { class: 'lines' });
  #chevron = icon('right');
  #toggleText = h('span', {});
  #toggle = h('button', { type: 'button', class: 'toggle', 'aria-expanded': 'false', onclick: () => this.#toggleLog() }, this.#chevron, this.#toggleText);
  #actions;
  #slot = h('div', { class: 'row-log' });
  #open = false;
  #inView = false;
  /** @type {LogPanel | null} */
  #panel = null;

  /**
   * @param {import('./context.js').Context} context @param {import('../net/last-lines.js').LastLines} lastLines
   * @param {import('../net/run-details.js').RunDetails} details @param {string} id @param {() => void} selected
   */
  constructor(context, lastLines, details, id, selected) {
    super();
    this.#context = context;
    this.#lastLines = lastLines;
    this.#details = details;
    this.#id = id;
    this.#select = h('input', { type: 'checkbox', 'aria-label': `Select ${id}`, onchange: selected });
    this.#actions = new ActionBar(context, () => this.setOpen(true));
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.dataset.host = this.#id;
    this.setAttribute('role', 'listitem');
    const name = h('a', { class: 'host-name', href: hostPath(this.#id), title: this.#id }, this.#id);
    this.append(
      h(
        'div',
        { class: 'row-main' },
        h('label', { class: 'row-select' }, this.#select),
        this.#state,
        h('div', { class: 'row-name' }, name, this.#revision),
        h('div', { class: 'row-doing' }, this.#phase, this.#text, this.#line),
        h('div', { class: 'row-last' }, this.#last, this.#lines),
        this.#actions,
        this.#toggle,
      ),
      this.#slot,
    );
    this.refresh();
  }

  get hostId() {
    return this.#id;
  }

  get open() {
    return this.#open;
  }

  get busy() {
    return isBusy(this.#context.fleet.hosts.get(this.#id)?.run);
  }

  /** Whether it is on screen; only then its last line and what is not known of its deployment are asked for. @param {boolean} on */
  set inView(on) {
    this.#inView = on;
    const host = this.#context.fleet.hosts.get(this.#id);
    if (host) this.#ask(host);
  }

  get inView() {
    return this.#inView;
  }

  get selected() {
    return this.#select.checked;
  }

  set selected(on) {
    this.#select.checked = on;
  }

  refresh() {
    const host = this.#context.fleet.hosts.get(this.#id);
    if (!host) return;
    const run = host.run;
    const state = hostState(host);
    const running = run != null && state === 'running';
    this.#state.update(state, hostWord(host));
    this.dataset.state = state;
    setText(this.#revision, revisionText(host));
    setHint(this.#revision, [revisionText(host), host.revision].filter(Boolean).join('\n'));
    this.#phase.hidden = !running;
    this.#text.hidden = running;
    if (running) this.#phase.update(run);
    this.#ask(host);
    this.#actions.update(host);
    this.#toggle.disabled = !run;
    setText(this.#toggleText, this.#open ? 'Hide log' : 'Show log');
    setIcon(this.#chevron, this.#open ? 'down' : 'right');
    setAttribute(this.#toggle, 'aria-label', `${this.#open ? 'Hide' : 'Show'} log of ${this.#id}`);
    setAttribute(this.#toggle, 'aria-expanded', String(this.#open));
    this.refreshTimes();
    this.#showPanel(host);
  }

  /** What changes with the clock and the last line alone. */
  refreshTimes() {
    const { fleet, clock } = this.#context;
    const host = fleet.hosts.get(this.#id);
    if (!host) return;
    const { run } = host;
    const running = hostState(host) === 'running';
    const details = fleet.deployed(host);
    if (!running) setText(this.#text, hostText(host, clock, details));
    setHint(this.#text, (details && runState(details) === 'failed' && details.message) || this.#text.textContent || '');
    const beside = lastText(host, clock);
    setText(this.#last, beside.text);
    setHint(this.#last, run ? `Last run: ${endText(run, host, clock)}` : '');
    this.#last.classList.toggle('failed', beside.failed);
    const last = this.#lastLines.get(this.#id);
    setText(this.#line, running ? (last ? stripAnsi(last.line.slice(0, 400)).trim() : '') : beside.reason);
    setHint(this.#line, running ? '' : beside.reason);
    this.#line.classList.toggle('code', running);
    const lines = Math.max(run?.lines ?? 0, running ? (last?.total ?? 0) : 0);
    setText(this.#lines, run && lines > 0 ? plural(lines, 'line') : '');
    if (run && isBusy(run)) this.#actions.refreshStop();
  }

  /** @param {Host} host */
  #ask(host) {
    this.#lastLines.watch(this.#id, this.#inView && host.run && hostState(host) === 'running' ? host.run.run_id : null);
    const deployment = deploymentOf(host);
    if (this.#inView && deployment && deployment.status !== 'ok') this.#details.want(host.id, deployment.run_id);
  }

  #toggleLog() {
    const run = this.#context.fleet.hosts.get(this.#id)?.run;
    // A small screen has no room for both the list and a log.
    if (matchMedia(SMALL).matches && run && !this.#open) return this.#context.go(runPath(run.host_id, run.run_id));
    this.setOpen(!this.#open);
  }

  /** @param {boolean} open */
  setOpen(open) {
    this.#open = open && !matchMedia(SMALL).matches;
    this.refresh();
  }

  /** The panel shows the host's current run, and changes to the next one when that begins. @param {Host} host */
  #showPanel(host) {
    this.classList.toggle('open', this.#open);
    if (!this.#open || !host.run) {
      this.#panel?.remove();
      this.#panel = null;
      return;
    }
    if (this.#panel?.runId !== host.run.run_id) {
      this.#panel = new LogPanel(this.#context, host.run, true);
      this.#slot.replaceChildren(this.#panel);
    }
    this.#panel.update(host.run);
  }
}

customElements.define('sy-host-row', HostRow);
