/** A run's log with its toolbar. It subscribes while it is on the page. */

import { CauseLines, rangesOf } from '../model/cause.js';
import { Finder } from '../model/find.js';
import { count, plural, zoneText } from '../model/format.js';
import { highlighter } from '../model/highlight.js';
import { ERROR_QUERY } from '../model/line-kind.js';
import { phaseRows } from '../model/phases.js';
import { formatPlace } from '../model/place.js';
import { runPath } from '../model/route.js';
import { isBusy, runState } from '../model/status.js';
import { linesText, missingText, resultText } from '../model/summary.js';
import { FoldedSource } from '../net/folded-source.js';
import { LogSource } from '../net/log-source.js';
import { PickedSource } from '../net/picked-source.js';
import { copyText } from './clipboard.js';
import { derivationMenu } from './derivation-menu.js';
import { h, setAttribute, setHint, setText } from './dom.js';
import { FindBar } from './find-bar.js';
import { FoldBar } from './fold-bar.js';
import { icon } from './icons.js';
import { logKey } from './log-keys.js';
import { LogPrint, MAX_PRINTED } from './log-print.js';
import { LogView } from './log-view.js';
import { MatchMap } from './match-map.js';
import { Menu } from './menu.js';

/** @typedef {import('../model/types.js').Run} Run */
/** @typedef {import('../model/place.js').Place} Place */
/** @typedef {import('./log-row.js').Times} Times */

/** @type {Record<Times, {next: Times, word: string, label: string}>} */
const TIMES = {
  clock: { next: 'utc', word: 'local', label: 'Local time' },
  utc: { next: 'elapsed', word: 'UTC', label: 'UTC' },
  elapsed: { next: 'off', word: 'since start', label: 'Since the start of the run' },
  off: { next: 'clock', word: 'hidden', label: 'Hidden' },
};

/** How long lines may be on their way before the log is asked how many it has. */
const CHECK_MS = 2000;
/** How often a log that grows is searched anew, at most. */
const LOOK_MS = 2000;

export class LogPanel extends HTMLElement {
  view = new LogView();
  /** Called when the address of what is shown has changed. @type {() => void} */
  onPlace = () => {};
  /** Called when another run of the host is wanted. @type {(which: 'older' | 'newer') => void} */
  onOther = () => {};
  /** Called when other sections are folded. @type {() => void} */
  onFold = () => {};
  /** Called when more is known of errors. @type {() => void} */
  onErrors = () => {};
  #context;
  #run;
  #linked;
  /** @type {FoldedSource | null} */
  #source = null;
  /** @type {PickedSource | null} */
  #picked = null;
  #finder;
  /** Where errors are: by the run's causes, or found by what lines say where it tells none. @type {Finder | CauseLines} */
  #errors;
  #marks;
  #causes = '';
  /** Whether it was asked why the log has no lines. */
  #checked = false;
  #lookedAt = -1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #find = new FindBar();
  #map = new MatchMap();
  #folds = new FoldBar(this.view);
  #print;
  #follow = tool('Follow', 'Follow the end of the log (f)', () => this.toggleFollow());
  #wrap = tool('Wrap', 'Wrap long lines (w)', () => this.toggleWrap());
  #times = new Menu('', (times) => this.setTimes(/** @type {Times} */ (times)));
  #errorNumber = h('span', {});
  #errorCount = h('span', { class: 'error-count' }, icon('failed'), this.#errorNumber);
  #errorTools = h('span', { class: 'tools' }, this.#errorCount, tool(icon('up'), 'Previous error (E)', () => this.step(this.#errors, -1)), tool(icon('down'), 'Next error (e)', () => this.step(this.#errors, 1)));
  #derivations;
  #info = h('span', { class: 'log-info' });
  /** What is wrong with the log as a whole. */
  #note = h('p', { class: 'log-note', role: 'status', hidden: true });
  #downloads = h('span', { class: 'tools' });
  #toolbar;

  /**
   * @param {import('./context.js').Context} context @param {Run} run
   * @param {boolean} linked whether the toolbar leads to the run's own page
   */
  constructor(context, run, linked) {
    super();
    this.#context = context;
    this.#run = run;
    this.#linked = linked;
    const { api } = context;
    const ask = (/** @type {import('../model/find.js').Query} */ query, /** @type {number} */ from, /** @type {number} */ limit) =>
      api.search(run.host_id, run.run_id, query, from, limit);
    this.#print = new LogPrint((from, limit) => api.lines(run.host_id, run.run_id, from, limit), () => this.#source?.held ?? { first: 0, lines: [] });
    this.#finder = new Finder(ask);
    this.#errors = this.#marks = new Finder(ask);
    const download = (/** @type {'txt'|'json'} */ format) =>
      h('a', { class: 'tool', href: api.downloadUrl(run.host_id, run.run_id, format), download: '', title: `Download the log as ${format}, with times in UTC` }, icon('download'), h('span', {}, format));
    this.#times.update(
      Object.entries(TIMES).map(([name, { label }]) => ({ name, label, help: name === 'clock' ? Intl.DateTimeFormat().resolvedOptions().timeZone : name === 'utc' ? 'As in the downloads' : '' })),
      false,
    );
    this.#derivations = derivationMenu(context, run, (name) => {
      this.pick(name);
      this.view.scroller.focus();
    });
    this.#downloads.append(download('txt'), download('json'));
    this.#toolbar = h(
      'div',
      { class: 'log-toolbar', role: 'group', 'aria-label': 'Tools of the log' },
      this.#follow, tool('Search', 'Search the whole log (/)', () => this.openSearch()), this.#errorTools,
      this.#wrap, this.#times, this.#derivations, h('span', { class: 'gap' }), this.#info,
      tool('Copy', 'Copy the whole log as text', () => void this.#copyAll()), this.#downloads,
      !linked && h('span', { class: 'print' }, tool('Print', `Print the log, its last ${count(MAX_PRINTED)} lines at most (Ctrl P)`, () => void this.print())),
      tool('Full screen', 'Show only the log', () => void this.#fullScreen()),
      linked && h('a', { class: 'tool', href: runPath(run.host_id, run.run_id), title: 'The page of this run' }, 'Open run →'),
    );
    this.addEventListener('keydown', (event) => logKey(this, event));
  }

  get runId() {
    return this.#run.run_id;
  }

  get finder() {
    return this.#finder;
  }

  get errors() {
    return this.#errors;
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#toolbar, this.#note, this.#find, this.#folds, h('div', { class: 'log-body' }, this.view, this.#map));
    const { view } = this;
    view.onChange = () => {
      this.#drawTools();
      this.#checkSoon(this.#run);
    };
    view.onView = () => {
      this.#drawMap();
      this.#folds.draw();
    };
    this.#folds.onFold = () => {
      this.onPlace();
      this.onFold();
      this.#drawTools();
    };
    this.#folds.say = (title, error) => this.#context.toasts.error(title, error);
    view.onNumber = (seq, extend) => this.#mark(seq, extend);
    view.onDerivation = (name) => this.pick(name);
    view.selection.say = (title, problem) => (problem ? this.#context.toasts.error(title, problem) : this.#context.toasts.notice(title));
    this.#finder.onChange = () => this.#drawTools();
    this.#marks.onChange = () => {
      this.#drawTools();
      this.onErrors();
    };
    this.#find.onQuery = (query) => void this.search(query);
    this.#find.onStep = (by) => this.step(this.#finder, by);
    this.#find.onClose = () => this.escape();
    this.#find.rank = (seq) => this.#finder.rank(seq);
    this.#map.onGo = (fraction) => view.moveToFraction(fraction);
    const { socket, api } = this.#context;
    const { host_id, run_id } = this.#run;
    if (this.prints) this.append(this.#print);
    this.#source = new FoldedSource(new LogSource(socket, api, host_id, run_id), (query, from, limit) => api.search(host_id, run_id, query, from, limit));
    this.#folds.source = this.#source;
    view.show(this.#source);
    this.update(this.#run);
    if (this.#errors === this.#marks) void this.#marks.search(ERROR_QUERY);
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#picked?.close();
    this.#source = this.#picked = null;
  }

  /** @param {Run} run */
  update(run) {
    this.#run = run;
    this.#takeCauses(run);
    this.#folds.setPhases(phaseRows(run, 0));
    this.#drawTools();
    const empty = this.#source?.gone ? this.#source.gone : run.status === 'queued' ? 'Not started. Its output will appear here.' : isBusy(run) ? 'No output yet.' : 'This run has no output.';
    this.#checkSoon(run);
    this.view.describe(`Log of ${run.command} on ${run.host_id}`, run.started ?? null, isBusy(run) || run.status === 'lost', empty);
  }

  /** A run that had output has a log with all of it, or had one. @param {Run} run */
  #checkSoon(run) {
    const source = this.#source;
    if (this.#checked || !source?.ready || source.next >= (run.lines ?? 0) || isBusy(run)) return;
    this.#checked = true;
    const check = async () => {
      if (this.#source !== source || source.next >= (this.#run.lines ?? 0)) return;
      await source.check();
      if (this.#source === source) this.update(this.#run);
    };
    // Lines that were said to be there may still be on their way.
    setTimeout(() => void check(), source.lineTotal > 0 ? CHECK_MS : 0);
  }

  /** Once a run tells why it failed, that counts and not what its lines look like. @param {Run} run */
  #takeCauses(run) {
    const ranges = rangesOf(run);
    const causes = JSON.stringify(ranges);
    if (causes === this.#causes || (ranges.length === 0 && this.#causes === '')) return;
    this.#causes = causes;
    this.#errors = ranges.length > 0 ? new CauseLines(ranges) : this.#marks;
    if (ranges.length === 0) void this.#marks.search(ERROR_QUERY);
    this.view.ranges = ranges;
  }

  /** What the address says. @param {Place} place */
  apply(place) {
    const { view } = this;
    if (view.wrap !== place.wrap) view.wrap = place.wrap;
    if (view.times !== place.times) view.times = place.times;
    const query = place.q ? { text: place.q, regex: place.regex, matchCase: place.matchCase } : null;
    // One line beside a search is the match that somebody was at.
    const [first, last] = place.lines ?? [];
    const at = query && first !== undefined && first === last ? first : null;
    view.marks.lines = at === null ? place.lines : null;
    if (JSON.stringify(query) !== JSON.stringify(this.#finder.query)) {
      this.#find.query = query ?? { text: '', regex: false, matchCase: false };
      this.#find.hidden = !query;
      void this.#open(query, at, first === undefined && !place.firstError);
    } else if (at !== null) {
      view.marks.current = at;
    }
    this.#folds.apply(place.fold);
    if ((this.#picked?.name ?? '') !== place.only) this.pick(place.only);
    view.redraw();
    const line = at ?? first;
    if (line !== undefined) this.#folds.reveal(line);
    if (at !== null) view.reveal(at);
    else if (first !== undefined) view.goTo(first);
    if (place.firstError) void this.goToFirstError();
    this.#drawTools();
  }

  /** @returns {Place} */
  get place() {
    const { view } = this;
    const query = this.#finder.query;
    const { lines, current } = view.marks;
    const at = lines ?? (query && current !== null ? /** @type {[number, number]} */ ([current, current]) : null);
    return { q: query?.text ?? '', regex: query?.regex ?? false, matchCase: query?.matchCase ?? false, wrap: view.wrap, times: view.times, only: this.#picked?.name ?? '', fold: this.#folds.keys, lines: at, firstError: false };
  }

  openSearch() {
    this.view.pause('searching');
    this.#find.open();
  }

  /** @param {import('../model/find.js').Query | null} query @param {number | null} [at] the match one is at */
  async search(query, at = null) {
    const { view } = this;
    view.marks.find = highlighter(query);
    view.marks.current = at;
    if (query) view.pause('searching');
    view.redraw();
    const found = this.#finder.search(query);
    this.onPlace();
    await found;
  }

  /** A search from an address. @param {import('../model/find.js').Query | null} query @param {number | null} at @param {boolean} first whether to go to the first match */
  async #open(query, at, first) {
    await this.search(query, at);
    if (!query || !first || this.#finder.query !== query || this.view.marks.current !== null) return;
    const seq = await this.#finder.step(-1, 1, this.#source?.lineTotal ?? 0);
    if (seq !== null && this.#finder.query === query) this.goToLine(seq);
  }

  /** To the next match or error, or the previous one. @param {Finder | CauseLines} finder @param {1 | -1} direction */
  async step(finder, direction) {
    const { view } = this;
    if (finder === this.#finder && !this.#finder.query) return this.openSearch();
    const from = view.marks.current ?? view.topSeq;
    view.pause('searching');
    const seq = await finder.step(view.marks.current === null ? from - direction : from, direction, this.#source?.lineTotal ?? 0);
    if (seq !== null) this.goToLine(seq);
    else if (finder === this.#errors) this.#sayNoErrors();
    else if (finder.total === 0) this.#context.toasts.notice('No matches in this log');
    this.#drawTools();
  }

  /** Shows only the output of a derivation; the empty name means everything. @param {string} name */
  pick(name) {
    const { view } = this;
    const seq = view.topSeq;
    this.#picked?.close();
    this.#picked = null;
    this.#folds.picked = name !== '';
    if (name) {
      const { api } = this.#context;
      this.#picked = new PickedSource(name, (query, from, limit) => api.search(this.#run.host_id, this.#run.run_id, query, from, limit));
      view.show(this.#picked);
    } else if (this.#source) {
      view.show(this.#source);
      if (!view.follow.following) view.goTo(seq);
    }
    this.onPlace();
    this.#drawTools();
  }

  openDerivations() {
    if (this.#picked) this.pick('');
    else this.#derivations.querySelector('button')?.click();
  }

  /** Folds the section of the line at the upper edge, or unfolds it. @param {boolean} all whether all phases are meant */
  toggleFold(all) {
    if (this.#picked) return;
    this.view.pause('jumped');
    if (all) this.#folds.toggleAll();
    else this.#folds.toggleTop();
  }

  /** @param {string} key of a phase */
  isFolded(key) {
    return this.#folds.keys.includes(key);
  }

  /** Folds a phase or unfolds it, and goes there. @param {string} key @param {number} seq its first line */
  togglePhase(key, seq) {
    if (this.#picked) this.pick('');
    this.#folds.toggle(key);
    this.view.goTo(seq);
  }

  toggleFollow() {
    if (this.view.follow.following) this.view.pause('switched off');
    else this.view.resume();
  }

  toggleWrap() {
    this.view.wrap = !this.view.wrap;
    this.onPlace();
    this.#drawTools();
  }

  nextTimes() {
    this.setTimes(TIMES[this.view.times].next);
  }

  /** @param {Times} times */
  setTimes(times) {
    this.view.times = times;
    this.onPlace();
    this.#drawTools();
  }

  /** Ends one thing at a time. @returns {boolean} whether there was something to end */
  escape() {
    const { view } = this;
    if (view.selection.clear()) return true;
    if (!this.#find.hidden) {
      this.#find.hidden = true;
      this.#find.query = { text: '', regex: false, matchCase: false };
      void this.search(null);
      view.scroller.focus();
      return true;
    }
    if (view.marks.lines) {
      view.marks.lines = null;
      view.redraw();
      this.onPlace();
      return true;
    }
    if (!this.#picked) return false;
    this.pick('');
    return true;
  }

  /** A link that shows another person what is seen here. */
  async copyLink() {
    const { view } = this;
    const seq = view.topSeq;
    const place = { ...this.place, lines: this.place.lines ?? /** @type {[number, number]} */ ([seq, seq]) };
    const link = location.origin + runPath(this.#run.host_id, this.#run.run_id) + formatPlace(place);
    try {
      await copyText(link);
      this.#context.toasts.notice('Link copied', link);
    } catch (error) {
      this.#context.toasts.error('Could not copy the link', error);
    }
  }

  async goToFirstError() {
    const seq = await this.#errors.step(-1, 1, this.#run.lines ?? 0);
    if (seq !== null) this.goToLine(seq);
    else this.#sayNoErrors();
  }

  /** That no line is an error is no good news of a run that failed, or of which nobody knows how it ended. */
  #sayNoErrors() {
    const { toasts } = this.#context;
    const { total, problem } = this.#errors;
    const state = runState(this.#run);
    if (problem) toasts.error('Could not search the log for errors', problem);
    else if (total) return;
    else if (state === 'failed') toasts.error('The run failed, but no line of its log says why', resultText(this.#run));
    else if (state === 'lost') toasts.error('No errors in this log', resultText(this.#run));
    else toasts.notice('No errors in this log');
  }

  /** @param {number} seq @param {boolean} [focus] whether the keys go to the log from now on */
  goToLine(seq, focus = false) {
    if (this.#picked && this.#picked.indexOf(seq) < 0) this.pick('');
    if (!this.#picked) this.#folds.reveal(seq);
    this.view.marks.current = seq;
    this.view.reveal(seq);
    if (this.#finder.query) this.onPlace();
    if (!focus) return;
    this.view.scroller.focus({ preventScroll: true });
    this.scrollIntoView({ block: 'nearest' });
  }

  /** @param {number} seq @param {boolean} extend */
  #mark(seq, extend) {
    const { marks } = this.view;
    const from = extend && marks.lines ? marks.lines[0] : seq;
    const alone = !extend && marks.lines?.[0] === seq && marks.lines[1] === seq;
    marks.lines = alone ? null : [Math.min(from, seq), Math.max(from, seq)];
    this.view.pause('jumped');
    this.view.redraw();
    if (this.#linked) this.#context.go(runPath(this.#run.host_id, this.#run.run_id) + formatPlace(this.place));
    else this.onPlace();
  }

  #drawTools() {
    const { view } = this;
    this.#print.update(this.#run, this.#source?.lineTotal ?? 0);
    const host = this.#context.fleet.hosts.get(this.#run.host_id);
    const lost = this.#run.status === 'running' && host && !host.online;
    const picked = this.#picked ? this.#picked.problem || `${plural(this.#picked.total, 'line')} of ${this.#picked.name}` : '';
    const gone = this.#source?.gone ?? '';
    this.#downloads.hidden = gone !== '';
    setHint(this.#info, gone);
    setText(this.#info, gone ? 'Log is gone' : lost ? 'No contact · it may still be running' : picked || linesText(this.#run, this.#source?.lineTotal ?? 0));
    this.#info.classList.toggle('lost', Boolean(lost || gone));
    const stored = this.#source?.stored ?? null;
    const missing = gone || stored === null ? '' : missingText(this.#run, stored);
    this.#note.hidden = missing === '';
    setText(this.#note, missing && `${missing}: the dashboard’s copy of this log was cut. Line numbers after the cut may be wrong.`);
    setAttribute(this.#follow, 'aria-pressed', String(view.follow.following));
    setAttribute(this.#wrap, 'aria-pressed', String(view.wrap));
    const zone = zoneText(this.#run.started ?? new Date());
    this.#times.label = `Time: ${TIMES[view.times].word}${view.times === 'clock' && zone !== 'UTC' ? ` (${zone})` : ''}`;
    const errors = this.#errors.total;
    this.#errorTools.hidden = !errors;
    setText(this.#errorNumber, errors ? count(errors) : '');
    setAttribute(this.#errorCount, 'title', errors ? plural(errors, 'error') : null);
    this.#derivations.label = this.#picked ? `Output of ${this.#picked.name}` : 'All output';
    this.#find.show(this.#finder, view.marks.current);
    this.#drawMap();
    this.#lookSoon();
  }

  #drawMap() {
    const { view } = this;
    this.#map.draw(view.total, view.inView, this.#finder, this.#errors, (seq) => view.source?.indexOf(seq) ?? seq);
  }

  /** Searches again what has grown since. */
  #lookSoon() {
    const total = this.#source?.lineTotal ?? 0;
    if (this.#source?.gone || this.#timer || total === this.#lookedAt || !this.#source?.ready) return;
    this.#timer = setTimeout(async () => {
      if (this.#source?.gone) return;
      const began = Date.now();
      this.#lookedAt = this.#source?.lineTotal ?? 0;
      await Promise.all([this.#errors.more(), this.#finder.query && this.#finder.more(), this.#picked?.more()]);
      // A log that takes long to search is searched less often.
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#lookSoon();
      }, 4 * (Date.now() - began));
    }, LOOK_MS);
  }

  /** Whether it prints itself. */
  get prints() {
    return !this.#linked;
  }

  async print() {
    const { toasts } = this.#context;
    try {
      await this.#print.ask();
    } catch (error) {
      toasts.error('Could not print the log', error);
    }
  }

  async #copyAll() {
    try {
      await copyText(this.#context.api.logText(this.#run.host_id, this.#run.run_id));
      this.#context.toasts.notice('Whole log copied');
    } catch (error) {
      this.#context.toasts.error('Could not copy the log. Download it instead.', error);
    }
  }

  async #fullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.requestFullscreen().catch((error) => this.#context.toasts.error('Full screen is not available in this browser', error));
  }
}

/** @param {string | Element} label @param {string} help @param {() => void} act */
function tool(label, help, act) {
  return h('button', { type: 'button', class: 'tool', title: help, 'aria-label': typeof label === 'string' ? null : help, onclick: act }, label);
}

customElements.define('sy-log-panel', LogPanel);
