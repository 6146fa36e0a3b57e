/** One host of the fleet: state, what it does, buttons, and its log in place. */

import { stripAnsi } from '../model/ansi.js';
import { clockDuration, plural, shortRevision } from '../model/format.js';
import { hostPath, runPath } from '../model/route.js';
import { hostState, hostWord, isBusy } from '../model/status.js';
import { endText, hostText, skewText } from '../model/summary.js';
import { commandLabel, MAIN_COMMANDS } from '../model/words.js';
import { ActionBar } from './action-bar.js';
import { h, setHint, setText } from './dom.js';
import { LogPanel } from './log-panel.js';
import { PhaseBar } from './phase-bar.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/types.js').Host} Host */

const SMALL = '(max-width: 820px)';

export class HostRow extends HTMLElement {
  #context;
  #lastLines;
  #id;
  #select;
  #state = new StateBadge();
  #revision = h('span', { class: 'revision' });
  #phase = new PhaseBar();
  #text = h('span', { class: 'row-text' });
  #line = h('span', { class: 'row-line' });
  #elapsed = h('span', { class: 'elapsed' });
  #errors = h('span', { class: 'errors' });
  #toggle = h('button', { type: 'button', class: 'toggle', 'aria-expanded': 'false', onclick: () => this.#toggleLog() });
  #actions;
  #slot = h('div', { class: 'row-log' });
  #open = false;
  #inView = false;
  /** @type {LogPanel | null} */
  #panel = null;

  /**
   * @param {import('./context.js').Context} context @param {import('../net/last-lines.js').LastLines} lastLines
   * @param {string} id @param {() => void} selected
   */
  constructor(context, lastLines, id, selected) {
    super();
    this.#context = context;
    this.#lastLines = lastLines;
    this.#id = id;
    this.#select = h('input', { type: 'checkbox', 'aria-label': `Select ${id}`, onchange: selected });
    this.#actions = new ActionBar(context, () => this.#setOpen(true));
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.dataset.host = this.#id;
    this.setAttribute('role', 'listitem');
    const name = h('a', { class: 'host-name', href: hostPath(this.#id) }, this.#id);
    this.append(
      h(
        'div',
        { class: 'row-main' },
        h('label', { class: 'row-select' }, this.#select),
        this.#state,
        h('div', { class: 'row-name' }, name, this.#revision),
        h('div', { class: 'row-doing' }, this.#phase, this.#text, this.#line),
        h('div', { class: 'row-numbers' }, this.#elapsed, this.#errors),
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

  /** Whether it is on screen; only then its last line is asked for. @param {boolean} on */
  set inView(on) {
    this.#inView = on;
    const host = this.#context.fleet.hosts.get(this.#id);
    if (host) this.#watchLastLine(host);
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
    const running = run != null && hostState(host) === 'running';
    this.#state.update(hostState(host), hostWord(host));
    this.dataset.state = hostState(host);
    setText(this.#revision, revisionText(host));
    setHint(this.#revision, [revisionText(host), host.revision].filter(Boolean).join('\n'));
    this.#phase.hidden = !running;
    this.#text.hidden = running;
    if (running) this.#phase.update(run);
    this.#watchLastLine(host);
    this.#actions.update(host);
    this.#toggle.hidden = false;
    this.#toggle.disabled = !run;
    setText(this.#toggle, this.#open ? '▼ Hide log' : '▶ Show log');
    this.#toggle.setAttribute('aria-expanded', String(this.#open));
    this.refreshTimes();
    this.#showPanel(host);
  }

  /** What changes with the clock and the last line alone. */
  refreshTimes() {
    const host = this.#context.fleet.hosts.get(this.#id);
    if (!host) return;
    const { run } = host;
    const { clock } = this.#context;
    const running = hostState(host) === 'running';
    if (!running) setText(this.#text, stripAnsi(hostText(host, clock)));
    setHint(this.#text, run?.message ?? this.#text.textContent ?? '');
    const ms = run && isBusy(run) ? clock.elapsed(run, host) : null;
    // No button says so of a command from the menu.
    const name = run && ms != null && !MAIN_COMMANDS.includes(run.command) ? ` · ${commandLabel(run.command)}` : '';
    setText(this.#elapsed, ms == null ? '' : clockDuration(ms) + name);
    setHint(this.#elapsed, name && `${run?.command} runs`);
    const last = this.#lastLines.get(this.#id);
    const lineText = running ? (last ? stripAnsi(last.line.slice(0, 400)).trim() : '') : run ? endText(run, host, clock) : '';
    setText(this.#line, lineText);
    this.#line.classList.toggle('code', running);
    const lines = Math.max(run?.lines ?? 0, running ? (last?.total ?? 0) : 0);
    setText(this.#errors, run && lines > 0 ? plural(lines, 'line') : '');
    setHint(this.#errors, run?.errors ? `${plural(run.errors, 'line')} on standard error` : '');
  }

  /** @param {Host} host */
  #watchLastLine(host) {
    this.#lastLines.watch(this.#id, this.#inView && host.run && hostState(host) === 'running' ? host.run.run_id : null);
  }

  #toggleLog() {
    const run = this.#context.fleet.hosts.get(this.#id)?.run;
    // A small screen has no room for both the list and a log.
    if (matchMedia(SMALL).matches && run && !this.#open) return this.#context.go(runPath(run.host_id, run.run_id));
    this.#setOpen(!this.#open);
  }

  /** @param {boolean} open */
  #setOpen(open) {
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

/** @param {Host} host */
function revisionText(host) {
  const parts = [];
  if (host.revision) parts.push(shortRevision(host.revision));
  if (host.behind) parts.push(`${host.behind} behind`);
  if (host.generation != null) parts.push(`gen ${host.generation}`);
  if (host.reboot_required) parts.push('reboot needed');
  const skew = skewText(host);
  if (skew) parts.push(`clock ${skew}`);
  return parts.join(' · ') || (host.last_seen ? '' : 'never reported');
}

customElements.define('sy-host-row', HostRow);
