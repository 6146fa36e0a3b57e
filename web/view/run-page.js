/** One run: what it was, its phases, its log. */

import { stripAnsi } from '../model/ansi.js';
import { clockDuration, dateTime, duration } from '../model/format.js';
import { phaseRows } from '../model/phases.js';
import { formatPlace, parsePlace } from '../model/place.js';
import { hostPath } from '../model/route.js';
import { isBusy, runState, runWord } from '../model/status.js';
import { exitText, generationText } from '../model/summary.js';
import { commandLabel } from '../model/words.js';
import { ApiError } from '../net/api.js';
import { h, oncePerFrame, setText } from './dom.js';
import { LogPanel } from './log-panel.js';
import { PhaseBar } from './phase-bar.js';
import { StateBadge } from './state-badge.js';
import { StopButton } from './stop-button.js';

/** @typedef {import('../model/types.js').Run} Run */

export class RunPage extends HTMLElement {
  #context;
  #host;
  #runId;
  #state = new StateBadge();
  #title = h('h1', {});
  #facts = h('dl', { class: 'run-facts' });
  #messageText = h('pre', {});
  #message = h('div', { class: 'run-message', hidden: true }, this.#messageText);
  #missing = h('p', { class: 'nothing', hidden: true });
  #phase = new PhaseBar();
  #phases = h('ol', { class: 'phases', 'aria-label': 'Phases' });
  #stop;
  #body = h('div', { class: 'run-body', hidden: true });
  /** @type {LogPanel | null} */
  #panel = null;
  #shownPhases = '';
  #redraw = oncePerFrame(() => this.#draw());
  /** @type {() => void} */
  #end = () => {};

  /** @param {import('./context.js').Context} context @param {string} host @param {string} run */
  constructor(context, host, run) {
    super();
    this.#context = context;
    this.#host = host;
    this.#runId = run;
    this.#stop = new StopButton(context.actions);
  }

  connectedCallback() {
    const { fleet } = this.#context;
    this.append(
      h(
        'header',
        { class: 'run-head' },
        h('div', { class: 'run-title' }, this.#state, this.#title, this.#phase, h('span', { class: 'gap' }), this.#stop),
        this.#facts,
        this.#message,
      ),
      this.#missing,
      this.#body,
    );
    this.#body.append(h('aside', { class: 'run-phases' }, h('h2', {}, 'Phases'), this.#phases));
    this.#message.append(h('button', { type: 'button', onclick: () => void this.#goToMessage() }, 'Show in log'));
    const stop = fleet.onChange((host) => (host === null || host === this.#host) && this.#redraw());
    const timer = setInterval(() => this.#redraw(), 1000);
    this.#end = () => {
      stop();
      clearInterval(timer);
    };
    this.#phase.hidden = true;
    void this.#load();
    this.#draw();
  }

  disconnectedCallback() {
    this.#end();
  }

  /** The address says something else of the same run. */
  placed() {
    this.#panel?.apply(parsePlace(location.search, location.hash));
  }

  /** Asks again after each reconnect too: a final state may have come meanwhile. */
  reconnected() {
    void this.#load();
  }

  /** Goes to the first line of the message in the log. */
  async #goToMessage() {
    const run = this.#run;
    const text = (this.#messageText.textContent ?? '').split('\n')[0]?.trim().slice(0, 500);
    if (!run || !text) return;
    try {
      const { matches } = await this.#context.api.search(run.host_id, run.run_id, { text, regex: false, matchCase: true }, 0, 1);
      if (matches[0]) this.#panel?.view.goTo(matches[0].seq);
      else this.#context.toasts.notice('The log does not hold this message', 'It comes from the agent itself.');
    } catch (error) {
      this.#context.toasts.error('The log could not be searched', error);
    }
  }

  get #run() {
    return this.#context.fleet.findRun(this.#host, this.#runId);
  }

  async #load() {
    try {
      const asked = this.#context.fleet.asks();
      this.#context.fleet.answered(await this.#context.api.run(this.#host, this.#runId), asked);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        this.#missing.replaceChildren(`Nothing to show: ${error.message}. `, h('a', { href: hostPath(this.#host) }, `The other runs of ${this.#host}`));
        this.#missing.hidden = this.#run !== undefined;
        return;
      }
      this.#context.toasts.error(`The run ${this.#runId} of ${this.#host} could not be read`, error);
    }
  }

  #draw() {
    const run = this.#run;
    if (!run || !this.isConnected) return;
    this.#missing.hidden = true;
    this.#body.hidden = false;
    const host = this.#context.fleet.hosts.get(run.host_id);
    const lost = run.status === 'running' && host && !host.online;
    this.#state.update(lost ? 'lost' : runState(run), lost ? 'lost contact' : runWord(run));
    this.#drawTitle(run);
    this.#drawFacts(run);
    this.#phase.hidden = run.status !== 'running';
    if (run.status === 'running') this.#phase.update(run);
    this.#stop.update(run);
    const message = run.status === 'ok' ? '' : stripAnsiLines(run.message ?? '');
    this.#message.hidden = message === '';
    setText(this.#messageText, message);
    this.#drawPhases(run);
    if (!this.#panel) {
      this.#panel = new LogPanel(this.#context, run, false);
      this.#body.append(this.#panel);
      this.placed();
      this.#panel.onPlace = () => this.#panel && history.replaceState(null, '', location.pathname + formatPlace(this.#panel.place));
    }
    this.#panel.update(run);
  }

  /** @param {Run} run */
  #drawTitle(run) {
    const text = `${commandLabel(run.command)} on ${run.host_id}`;
    if (this.#title.textContent === text) return;
    this.#title.replaceChildren(`${commandLabel(run.command)} on `, h('a', { href: hostPath(run.host_id) }, run.host_id));
  }

  /** @param {Run} run */
  #drawFacts(run) {
    const host = this.#context.fleet.hosts.get(run.host_id);
    const elapsed = this.#context.clock.elapsed(run, host);
    const took = elapsed == null ? '' : isBusy(run) ? clockDuration(elapsed) : duration(elapsed);
    const over = !isBusy(run);
    const facts = [
      ['asked by', run.requested_by ?? ''],
      [run.started ? 'started' : 'queued', dateTime(run.started ?? run.queued ?? '')],
      [over ? 'took' : 'elapsed', took],
      ['result', over && run.started ? exitText(run) : ''],
      ['system', generationText(run)],
    ];
    for (const [i, [name, value]] of facts.entries()) {
      const entry = this.#facts.children[i] ?? this.#facts.appendChild(h('div', {}, h('dt', {}), h('dd', {})));
      /** @type {HTMLElement} */ (entry).hidden = !value;
      setText(/** @type {Element} */ (entry.firstElementChild), name ?? '');
      setText(/** @type {Element} */ (entry.lastElementChild), value ?? '');
    }
  }

  /** @param {Run} run */
  #drawPhases(run) {
    const rows = phaseRows(run, this.#context.clock.hostNow(this.#context.fleet.hosts.get(run.host_id)));
    const key = rows.map((row) => `${row.phase}${row.current}${row.failed}`).join(' ');
    if (key !== this.#shownPhases || rows.length === 0) {
      this.#shownPhases = key;
      const none = h('li', { class: 'quiet' }, isBusy(run) ? 'None has begun.' : 'None was seen.');
      this.#phases.replaceChildren(...(rows.length === 0 ? [none] : rows.map((row) => this.#phaseItem(row))));
    }
    for (const [i, row] of rows.entries()) {
      const time = this.#phases.children[i]?.querySelector('.phase-time');
      if (time) setText(time, row.current ? clockDuration(row.ms) : duration(row.ms));
    }
  }

  /** @param {import('../model/phases.js').PhaseRow} row */
  #phaseItem(row) {
    const state = row.failed ? 'failed' : row.current ? 'running' : 'ok';
    return h(
      'li',
      { 'data-state': state },
      h(
        'button',
        { type: 'button', title: `To line ${row.seq + 1}`, onclick: () => this.#panel?.view.goTo(row.seq) },
        h('span', { class: 'phase-glyph', 'aria-hidden': 'true' }, row.glyph),
        h('span', { class: 'phase-word' }, row.word),
        h('span', { class: 'phase-time' }),
      ),
    );
  }
}

/** @param {string} text */
function stripAnsiLines(text) {
  return text.split('\n').map(stripAnsi).join('\n').trim();
}

customElements.define('sy-run', RunPage);
