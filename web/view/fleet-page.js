/** All hosts: how many are in which state, filter, selection, and a row for each. */

import { hostFilter } from '../model/filter.js';
import { compareHosts, countStates, hostState, STATE_ORDER, STATES } from '../model/status.js';
import { LastLines } from '../net/last-lines.js';
import { RunDetails } from '../net/run-details.js';
import { BulkBar } from './bulk-bar.js';
import { BulkResults } from './bulk-results.js';
import { h, oncePerFrame, setText } from './dom.js';
import { emptyFleet } from './empty-fleet.js';
import { FailureGroups } from './failure-groups.js';
import { HostRow } from './host-row.js';
import { icon } from './icons.js';

/** @typedef {import('../model/status.js').State} State */

/** Rows that are added in one frame: hundreds at once would hold the page up. */
const ROWS_A_FRAME = 80;
/** What is drawn in one frame, by the `cost` of each row. */
const COST_A_FRAME = 32;
/** Rows so near to the window are drawn before they are seen. */
const NEAR = '200px 0px';
const HELP = 'Type words you see in a row, or state:failed, error:nginx, behind, reboot';

export class FleetPage extends HTMLElement {
  #context;
  #lastLines;
  #details;
  /** @type {Map<string, HostRow>} */
  #rows = new Map();
  /** @type {State | null} */
  #onlyState = null;
  #filter = h('input', { type: 'search', placeholder: 'Filter hosts', 'aria-label': 'Filter hosts', title: HELP, oninput: () => this.#asked() });
  #counts = h('div', { class: 'counts', role: 'group', 'aria-label': 'Hosts by state' });
  #list = h('div', { class: 'host-list', role: 'list' });
  #nothing = h('p', { class: 'nothing', hidden: true });
  #bulk;
  #results;
  #failures;
  #empty = emptyFleet();
  #bar;
  #onScreen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting, boundingClientRect } of entries) {
      if (!(target instanceof HostRow) || target.inView === isIntersecting) continue;
      target.setInView(isIntersecting, boundingClientRect.height);
      this.#touch(target.hostId);
    }
  }, { rootMargin: NEAR });
  /** @type {Set<string>} */
  #toOpen = new Set();
  /** @type {Set<string>} */
  #dirty = new Set();
  #redraw = oncePerFrame(() => this.#drawDirty());
  /** @type {AbortController | null} */
  #life = null;

  /** @param {import('./context.js').Context} context */
  constructor(context) {
    super();
    this.#context = context;
    this.#lastLines = new LastLines(context.socket);
    this.#details = new RunDetails(context.api, context.fleet);
    this.#results = new BulkResults(context.fleet);
    this.#failures = new FailureGroups(context.fleet, () => this.#arrange(true));
    this.#bulk = new BulkBar(context, () => this.#shown().filter((row) => row.selected), (on) => this.#selectAll(on), (command, answers) => this.#results.show(command, answers));
    this.#bar = h('div', { class: 'fleet-bar' }, this.#counts, this.#filter);
  }

  connectedCallback() {
    this.append(h('h1', { class: 'unseen' }, 'Fleet'), this.#bar, this.#failures, this.#bulk, this.#results, this.#list, this.#nothing, this.#empty);
    this.#life = new AbortController();
    this.#fromAddress();
    const { signal } = this.#life;
    const { fleet, actions } = this.#context;
    const stop = fleet.onChange((host) => (host ? this.#touch(host) : this.#rebuild()));
    actions.onPending = (host) => this.#touch(host);
    this.#lastLines.onLine = (host) => this.#rows.get(host)?.refreshTimes();
    const timer = setInterval(() => this.#rows.forEach((row) => row.inView && row.refreshTimes()), 1000);
    signal.addEventListener('abort', () => {
      stop();
      clearInterval(timer);
      this.#lastLines.close();
      this.#onScreen.disconnect();
    });
    this.#list.addEventListener('pointerleave', () => this.#arrange(false), { signal });
    addEventListener('beforeprint', () => this.#print(true), { signal });
    addEventListener('afterprint', () => this.#print(false), { signal });
    this.#rebuild();
  }

  disconnectedCallback() {
    this.#life?.abort();
  }

  /** @param {boolean} on whether a print is being made */
  #print(on) {
    for (const row of this.#rows.values()) {
      row.printed = on;
      // They are taken out again some in each frame.
      if (!on) this.#touch(row.hostId);
    }
  }

  /** The hosts whose logs are open. */
  get open() {
    return [...this.#rows.values()].filter((row) => row.open).map((row) => row.hostId);
  }

  /** Opens logs as they were, where the rows are not there yet as soon as they are. @param {string[]} hosts */
  openLogs(hosts) {
    this.#toOpen = new Set(hosts);
    this.#openRows();
  }

  #openRows() {
    for (const host of this.#toOpen) {
      const row = this.#rows.get(host);
      if (row && this.#toOpen.delete(host)) row.setOpen(true);
    }
  }

  /** The person wants to see other hosts; the address says which. */
  #asked() {
    const query = new URLSearchParams();
    if (this.#filter.value) query.set('filter', this.#filter.value);
    if (this.#onlyState) query.set('state', this.#onlyState);
    history.replaceState(history.state, '', location.pathname + (query.size > 0 ? `?${query}` : ''));
    this.#arrange(true);
  }

  #fromAddress() {
    const query = new URLSearchParams(location.search);
    this.#filter.value = query.get('filter') ?? '';
    this.#onlyState = STATE_ORDER.find((state) => state === query.get('state')) ?? null;
  }

  /** @param {string} host */
  #touch(host) {
    this.#dirty.add(host);
    this.#redraw();
  }

  /** Rows on screen first, the others in the frames that follow. */
  #drawDirty() {
    if (!this.isConnected) return;
    const order = [...this.#dirty].sort((a, b) => Number(this.#rows.get(b)?.inView ?? false) - Number(this.#rows.get(a)?.inView ?? false));
    let spent = 0;
    for (const host of order) {
      const row = this.#rows.get(host);
      spent += row?.cost ?? 0;
      if (spent > COST_A_FRAME) break;
      this.#dirty.delete(host);
      row?.refresh();
    }
    if (this.#dirty.size > 0) return this.#redraw();
    this.#drawCounts();
    this.#arrange(false);
  }

  #rebuild() {
    const { fleet } = this.#context;
    for (const [id, row] of this.#rows) {
      if (fleet.hosts.has(id)) continue;
      row.remove();
      this.#onScreen.unobserve(row);
      this.#lastLines.watch(id, null);
      this.#rows.delete(id);
    }
    for (const id of this.#rows.keys()) this.#touch(id);
    const empty = fleet.loaded && fleet.hosts.size === 0;
    this.#empty.hidden = !empty;
    this.#bar.hidden = this.#bulk.hidden = this.#list.hidden = empty || !fleet.loaded;
    this.#drawCounts();
    this.#addRows();
  }

  /** Adds the rows that are missing, some in each frame: hundreds at once would hold the page up. */
  #addRows() {
    if (!this.isConnected) return;
    const missing = [...this.#context.fleet.hosts.values()].filter(({ id }) => !this.#rows.has(id)).sort(compareHosts);
    for (const { id } of missing.slice(0, ROWS_A_FRAME)) {
      const row = new HostRow(this.#context, this.#lastLines, this.#details, id, () => this.#bulk.refresh());
      this.#rows.set(id, row);
      this.#onScreen.observe(row);
    }
    this.#arrange(true);
    this.#openRows();
    if (missing.length > ROWS_A_FRAME) requestAnimationFrame(() => this.#addRows());
  }

  #drawCounts() {
    const counts = countStates(this.#context.fleet.hosts.values());
    for (const [i, state] of STATE_ORDER.entries()) {
      const button = /** @type {HTMLButtonElement} */ (this.#counts.children[i] ?? this.#counts.appendChild(this.#countButton(state)));
      const n = counts.get(state) ?? 0;
      setText(/** @type {Element} */ (button.children[1]), String(n));
      button.hidden = n === 0 && this.#onlyState !== state;
      button.setAttribute('aria-pressed', String(this.#onlyState === state));
    }
  }

  /** @param {State} state */
  #countButton(state) {
    const choose = () => {
      this.#onlyState = this.#onlyState === state ? null : state;
      this.#drawCounts();
      this.#asked();
    };
    const { word } = STATES[state];
    return h(
      'button',
      { type: 'button', class: 'count', 'data-state': state, title: `Show only hosts with the state “${word}”`, onclick: choose },
      icon(state), h('span', { class: 'n' }), h('span', { class: 'word' }, word),
    );
  }

  /**
   * Puts the rows in order and hides those that are filtered out. Unless asked by the person, no row moves
   * while the pointer or the keyboard is among them or a log is open.
   * @param {boolean} asked
   */
  #arrange(asked) {
    const held = this.#list.matches(':hover, :has(:focus-visible)') || [...this.#rows.values()].some((row) => row.open);
    if (asked || !held) {
      this.#sort();
      this.#failures.draw();
    }
    const only = this.#failures.hosts;
    const { fleet, clock } = this.#context;
    const matches = hostFilter(this.#filter.value, clock, (host) => fleet.deployed(host));
    let shown = 0;
    for (const [id, row] of this.#rows) {
      const host = fleet.hosts.get(id);
      row.hidden = !host || (this.#onlyState !== null && hostState(host) !== this.#onlyState) || (only !== null && !only.has(id)) || !matches(host);
      if (!row.hidden) shown += 1;
    }
    this.#nothing.hidden = shown > 0 || this.#rows.size === 0 || this.#rows.size < this.#context.fleet.hosts.size;
    setText(this.#nothing, 'No hosts match the filter.');
    this.#bulk.refresh();
  }

  #sort() {
    const order = [...this.#context.fleet.hosts.values()].sort(compareHosts);
    for (const [i, row] of order.flatMap(({ id }) => this.#rows.get(id) ?? []).entries()) {
      const there = this.#list.children[i] ?? null;
      if (row !== there) this.#list.insertBefore(row, there);
    }
  }

  /** @returns {HostRow[]} */
  #shown() {
    return [...this.#rows.values()].filter((row) => !row.hidden);
  }

  /** @param {boolean} on */
  #selectAll(on) {
    for (const row of this.#rows.values()) row.selected = on && !row.hidden;
    this.#bulk.refresh();
  }
}

customElements.define('sy-fleet', FleetPage);
