/** What a row of the fleet shows beside the name: the host's deployment, what it does, its last run, and buttons. */

import { stripAnsi } from '../model/ansi.js';
import { exactTime, plural } from '../model/format.js';
import { hostState, hostWord, isBusy, runState } from '../model/status.js';
import { endText, hostText, lastText, revisionText } from '../model/summary.js';
import { ActionBar } from './action-bar.js';
import { h, setAttribute, setHint, setText } from './dom.js';
import { icon, setIcon } from './icons.js';
import { PhaseBar } from './phase-bar.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/types.js').Host} Host */
/** @typedef {{select: (on: boolean) => void, toggle: () => void, started: () => void}} Handlers */

export class HostRowParts {
  #context;
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
  #toggle;
  #actions;
  #before;
  #after;

  /** @param {import('./context.js').Context} context @param {string} id of the host @param {Handlers} handlers */
  constructor(context, id, { select, toggle, started }) {
    this.#context = context;
    this.#id = id;
    this.#select = h('input', { type: 'checkbox', 'aria-label': `Select ${id}`, onchange: () => select(this.#select.checked) });
    this.#actions = new ActionBar(context, started);
    this.#toggle = h('button', { type: 'button', class: 'toggle', 'aria-expanded': 'false', onclick: toggle }, this.#chevron, this.#toggleText);
    this.#before = [h('label', { class: 'row-select' }, this.#select), this.#state];
    this.#after = [
      h('div', { class: 'row-doing' }, this.#phase, this.#text, this.#line),
      h('div', { class: 'row-last' }, this.#last, this.#lines),
      this.#actions,
      this.#toggle,
    ];
  }

  /** @param {boolean} on */
  set selected(on) {
    this.#select.checked = on;
  }

  /** Puts them around the name, which stays where it is: it may have the focus. @param {HTMLElement} row */
  addTo(row) {
    row.prepend(...this.#before);
    row.querySelector('.row-name')?.append(this.#revision);
    row.append(...this.#after);
  }

  remove() {
    for (const part of [...this.#before, this.#revision, ...this.#after]) part.remove();
  }

  /** @param {Host} host @param {boolean} open whether its log is */
  update(host, open) {
    const run = host.run;
    const state = hostState(host);
    const running = run != null && state === 'running';
    this.#state.update(state, hostWord(host));
    setText(this.#revision, revisionText(host));
    setHint(this.#revision, [revisionText(host), host.revision].filter(Boolean).join('\n'));
    this.#phase.hidden = !running;
    this.#text.hidden = running;
    if (running) this.#phase.update(run);
    this.#actions.update(host);
    this.#toggle.disabled = !run;
    setText(this.#toggleText, open ? 'Hide log' : 'Show log');
    setIcon(this.#chevron, open ? 'down' : 'right');
    setAttribute(this.#toggle, 'aria-label', `${open ? 'Hide' : 'Show'} log of ${this.#id}`);
    setAttribute(this.#toggle, 'aria-expanded', String(open));
  }

  /** What changes with the clock and the last line alone. @param {Host} host @param {import('../net/last-lines.js').LastLine | null} last */
  refreshTimes(host, last) {
    const { fleet, clock } = this.#context;
    const { run } = host;
    const running = hostState(host) === 'running';
    const details = fleet.deployed(host);
    if (!running) setText(this.#text, hostText(host, clock, details));
    setHint(this.#text, (details && runState(details) === 'failed' && details.message) || [this.#text.textContent, exactTime(run?.status === 'queued' ? run.expires : null)].filter(Boolean).join('\n'));
    const beside = lastText(host, clock);
    setText(this.#last, beside.text);
    setHint(this.#last, run ? [`Last run: ${endText(run, host, clock)}`, exactTime(run.completed)].filter(Boolean).join('\n') : '');
    this.#last.classList.toggle('failed', beside.failed);
    setText(this.#line, running ? (last ? stripAnsi(last.line.slice(0, 400)).trim() : '') : beside.reason);
    setHint(this.#line, running ? '' : beside.reason);
    this.#line.classList.toggle('code', running);
    const lines = Math.max(run?.lines ?? 0, running ? (last?.total ?? 0) : 0);
    setText(this.#lines, run && lines > 0 ? plural(lines, 'line') : '');
    if (run && isBusy(run)) this.#actions.refreshStop();
  }
}
