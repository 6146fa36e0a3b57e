/** One run: what it was, its phases, its log. */

import { shownText } from '../model/ansi.js';
import { rangeOf } from '../model/cause.js';
import { clockDuration, count, dateTime, duration } from '../model/format.js';
import { phaseRows } from '../model/phases.js';
import { formatPlace, parsePlace } from '../model/place.js';
import { hostPath } from '../model/route.js';
import { isBusy, runState, runWord } from '../model/status.js';
import { exitText, generationText } from '../model/summary.js';
import { commandLabel } from '../model/words.js';
import { ApiError } from '../net/api.js';
import { CauseCard } from './cause-card.js';
import { h, oncePerFrame, setAttribute, setChildren, setText, setTime } from './dom.js';
import { LogPanel } from './log-panel.js';
import { PhaseBar } from './phase-bar.js';
import { RunActions } from './run-actions.js';
import { StateBadge } from './state-badge.js';
import { StopButton } from './stop-button.js';

/** @typedef {import('../model/types.js').Run} Run */

/** Where two causes stand beside each other. */
const SIDE_BY_SIDE = '(min-width: 1240px)';

export class RunPage extends HTMLElement {
  #context;
  #host;
  #runId;
  #state = new StateBadge();
  #title = h('h1', {});
  #facts = h('dl', { class: 'run-facts' });
  #messageText = h('pre', {});
  #messageNote = h('p', { class: 'quiet', hidden: true }, 'This summary is not a line of the log.');
  #showInLog = h('button', { type: 'button', hidden: true, onclick: () => void this.#panel?.goToFirstError() }, 'Show in log');
  #message = h('div', { class: 'run-message', hidden: true }, h('div', {}, this.#messageText, this.#messageNote), this.#showInLog);
  #causes = h('section', { class: 'run-causes', 'aria-label': 'Why it failed', hidden: true });
  #shownCauses = '';
  #missing = h('p', { class: 'nothing', hidden: true });
  #phase = new PhaseBar();
  #phases = h('ol', { class: 'phases', 'aria-label': 'Phases' });
  #stop;
  #actions;
  #foldAll = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => this.#panel?.toggleFold(true) });
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
    this.#actions = new RunActions(context, host, run);
  }

  connectedCallback() {
    const { fleet } = this.#context;
    this.append(
      h(
        'header',
        { class: 'run-head' },
        h('div', { class: 'run-title' }, this.#state, this.#title, this.#phase, h('span', { class: 'gap' }), this.#actions, this.#stop),
        this.#facts,
        this.#message,
        this.#causes,
      ),
      this.#missing,
      this.#body,
    );
    this.#body.append(h('aside', { class: 'run-phases', 'aria-label': 'Phases of the run' }, h('header', {}, h('h2', {}, 'Phases'), this.#foldAll), this.#phases));
    this.#context.actions.onPending = () => this.#redraw();
    const stop = fleet.onChange((host) => (host === null || host === this.#host) && this.#redraw());
    const timer = setInterval(() => this.#redraw(), 1000);
    this.#end = () => {
      stop();
      clearInterval(timer);
    };
    this.#phase.hidden = true;
    this.#stop.hidden = true;
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

  get #run() {
    return this.#context.fleet.findRun(this.#host, this.#runId);
  }

  async #load() {
    try {
      const asked = this.#context.fleet.asks();
      this.#context.fleet.answered(await this.#context.api.run(this.#host, this.#runId), asked);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        setChildren(this.#missing, `Run not found: ${error.message}. `, h('a', { href: hostPath(this.#host) }, `All runs of ${this.#host}`));
        this.#missing.hidden = this.#run !== undefined;
        return;
      }
      this.#context.toasts.error(`Could not load the run ${this.#runId} of ${this.#host}`, error);
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
    this.#actions.update(run);
    this.#drawCauses(run);
    if (!this.#panel) this.#openLog(run);
    this.#panel?.update(run);
    this.#drawPhases(run);
    this.#drawMessage(run);
  }

  /** A failed run opens at its cause, unless the address says where. @param {Run} run */
  #openLog(run) {
    const panel = new LogPanel(this.#context, run, false);
    this.#panel = panel;
    this.#body.append(panel);
    this.placed();
    panel.onPlace = () => history.replaceState(history.state, '', location.pathname + formatPlace(panel.place));
    panel.onErrors = panel.onFold = () => this.#redraw();
    panel.onOther = (which) => this.#actions.go(which);
    const { q, lines, firstError, only } = parsePlace(location.search, location.hash);
    const [first] = (run.cause ?? []).map(rangeOf).filter((range) => range !== null);
    if (first && !q && !lines && !firstError && !only) panel.goToLine(first.line);
  }

  /** @param {Run} run */
  #drawCauses(run) {
    const causes = run.cause ?? [];
    const key = JSON.stringify(causes);
    if (key === this.#shownCauses) return;
    this.#shownCauses = key;
    const log = {
      goTo: (/** @type {number} */ seq) => this.#panel?.goToLine(seq, true),
      pick: (/** @type {string} */ name) => this.#panel?.pick(name),
    };
    this.#causes.replaceChildren(...causes.map((cause, i) => new CauseCard(this.#context, run, cause, i === 0 || (i === 1 && matchMedia(SIDE_BY_SIDE).matches), log)));
    this.#causes.hidden = causes.length === 0;
  }

  /** What is known of a run that tells no cause. @param {Run} run */
  #drawMessage(run) {
    const message = run.status === 'ok' || run.cause?.length ? '' : shownText(run.message ?? '').trim();
    this.#message.hidden = message === '';
    setText(this.#messageText, message);
    const errors = this.#panel?.errors.total ?? null;
    this.#showInLog.hidden = !errors;
    this.#messageNote.hidden = errors !== 0 || !run.started;
  }

  /** @param {Run} run */
  #drawTitle(run) {
    const text = shownText(`${commandLabel(run.command)} on ${run.host_id}`);
    if (this.#title.textContent === text) return;
    setChildren(this.#title, `${commandLabel(run.command)} on `, h('a', { href: hostPath(run.host_id) }, run.host_id));
  }

  /** @param {Run} run */
  #drawFacts(run) {
    const host = this.#context.fleet.hosts.get(run.host_id);
    const elapsed = this.#context.clock.elapsed(run, host);
    const took = elapsed == null ? '' : isBusy(run) ? clockDuration(elapsed) : duration(elapsed);
    const over = !isBusy(run);
    const facts = [
      [run.started ? 'started by' : 'requested by', run.requested_by ?? ''],
      [run.started ? 'started' : 'queued', dateTime(run.started ?? run.queued ?? '')],
      [over ? 'took' : 'elapsed', took],
      ['result', over && run.started ? exitText(run) : ''],
      ['system', generationText(run)],
    ];
    for (const [i, [name, value]] of facts.entries()) {
      const entry = this.#facts.children[i] ?? this.#facts.appendChild(h('div', {}, h('dt', {}), h('dd', {})));
      /** @type {HTMLElement} */ (entry).hidden = !value;
      setText(/** @type {Element} */ (entry.firstElementChild), name ?? '');
      setTime(/** @type {Element} */ (entry.lastElementChild), i === 1 ? (run.started ?? run.queued) : null, value ?? '');
    }
  }

  /** @param {Run} run */
  #drawPhases(run) {
    const rows = phaseRows(run, this.#context.clock.hostNow(this.#context.fleet.hosts.get(run.host_id)));
    const key = rows.map((row) => `${row.phase}${row.current}${row.failed}${row.seq}`).join(' ');
    if (key !== this.#shownPhases || rows.length === 0) {
      this.#shownPhases = key;
      const none = h('li', { class: 'quiet' }, isBusy(run) ? 'Not started' : 'No phases');
      this.#phases.replaceChildren(...(rows.length === 0 ? [none] : rows.map((row, i) => this.#phaseItem(row, i))));
    }
    const folded = rows.map((_, i) => this.#panel?.isFolded(`:${i}`) ?? false);
    this.#foldAll.hidden = rows.length === 0;
    setText(this.#foldAll, folded.every(Boolean) ? 'Unfold all' : 'Fold all');
    for (const [i, row] of rows.entries()) {
      const fold = this.#phases.children[i]?.querySelector('.fold');
      if (fold) {
        const verb = folded[i] ? 'Unfold' : 'Fold';
        setAttribute(fold, 'aria-expanded', String(!folded[i]));
        setAttribute(fold, 'aria-label', `${verb} ${row.word}`);
        setAttribute(fold, 'title', `${verb} its lines`);
      }
      const time = this.#phases.children[i]?.querySelector('.phase-time');
      if (time) setText(time, row.current ? clockDuration(row.ms) : duration(row.ms));
    }
  }

  /** @param {import('../model/phases.js').PhaseRow} row @param {number} i */
  #phaseItem(row, i) {
    const state = row.failed ? 'failed' : row.current ? 'running' : 'ok';
    return h(
      'li',
      { 'data-state': state },
      h('button', { type: 'button', class: 'fold', onclick: () => this.#panel?.togglePhase(`:${i}`, row.seq) }),
      h(
        'button',
        { type: 'button', title: `Go to line ${count(row.seq + 1)}`, onclick: () => this.#panel?.view.goTo(row.seq) },
        h('span', { class: 'phase-glyph', 'aria-hidden': 'true' }, row.glyph),
        h('span', { class: 'phase-word' }, row.word),
        h('span', { class: 'phase-time' }),
      ),
    );
  }
}

customElements.define('sy-run', RunPage);
