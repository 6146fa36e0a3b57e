/**
 * One host of the fleet. A row in view has all its parts, and its log where that is open; one out of view has its name
 * alone, so that what is done to hundreds of hosts costs what is done to those on screen.
 */

import { hostPath, runPath } from '../model/route.js';
import { deploymentOf, hostState, isBusy } from '../model/status.js';
import { h } from './dom.js';
import { HostRowParts } from './host-row-parts.js';
import { LogPanel } from './log-panel.js';

/** @typedef {import('../model/types.js').Host} Host */

const SMALL = '(max-width: 820px)';

export class HostRow extends HTMLElement {
  #context;
  #lastLines;
  #details;
  #id;
  #select;
  #main;
  /** Made when the row is first in view. @type {HostRowParts | null} */
  #parts = null;
  /** Whether the parts are in the row. */
  #isWhole = false;
  #selected = false;
  #open = false;
  #inView = false;
  #printed = false;
  /** @type {LogPanel | null} */
  #panel = null;

  /**
   * @param {import('./context.js').Context} context @param {import('../net/last-lines.js').LastLines} lastLines
   * @param {import('../net/run-details.js').RunDetails} details @param {string} id @param {() => void} select called when the person selects it
   */
  constructor(context, lastLines, details, id, select) {
    super();
    this.#context = context;
    this.#lastLines = lastLines;
    this.#details = details;
    this.#id = id;
    this.#select = select;
    this.#main = h('div', { class: 'row-main' }, h('div', { class: 'row-name' }, h('a', { class: 'host-name', href: hostPath(id), title: id }, id)));
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.dataset.host = this.#id;
    this.setAttribute('role', 'listitem');
    this.append(this.#main);
    this.#drawState();
  }

  get hostId() {
    return this.#id;
  }

  get open() {
    return this.#open;
  }

  get busy() {
    return isBusy(this.#host?.run);
  }

  /** How much a refresh costs: parts that are made, parts that are drawn anew, or the state alone. */
  get cost() {
    if (!this.#belongs) return 1;
    return this.#isWhole ? 2 : 4;
  }

  /** Whether it is on screen; only then its last line and what is not known of its deployment are asked for. */
  get inView() {
    return this.#inView;
  }

  /** @param {boolean} on @param {number} height of the row, px */
  setInView(on, height) {
    this.#inView = on;
    // What is below does not move when the parts go.
    this.style.minHeight = on || height === 0 ? '' : `${height}px`;
    this.#ask();
  }

  /** A print has all of every row, and at once. @param {boolean} on */
  set printed(on) {
    this.#printed = on;
    if (on && !this.#isWhole) this.refresh();
  }

  get selected() {
    return this.#selected;
  }

  set selected(on) {
    this.#selected = on;
    if (this.#parts) this.#parts.selected = on;
  }

  refresh() {
    const host = this.#host;
    if (!host) return;
    this.#drawState();
    this.#ask();
    if (this.#belongs) this.#drawParts(host);
    else if (this.#isWhole) {
      this.#parts?.remove();
      this.#isWhole = false;
    }
    this.#showPanel(host);
  }

  /** What changes with the clock and the last line alone. */
  refreshTimes() {
    const host = this.#host;
    if (host && this.#isWhole) this.#parts?.refreshTimes(host, this.#lastLines.get(this.#id));
  }

  get #host() {
    return this.#context.fleet.hosts.get(this.#id);
  }

  /** Whether the parts belong into the row: somebody sees, uses or prints them. */
  get #belongs() {
    return this.#inView || this.#open || this.#printed || this.contains(document.activeElement);
  }

  #drawState() {
    const host = this.#host;
    const state = host && hostState(host);
    if (state && this.dataset.state !== state) this.dataset.state = state;
  }

  /** @param {Host} host */
  #drawParts(host) {
    this.#parts ??= this.#makeParts();
    if (!this.#isWhole) this.#parts.addTo(this.#main);
    this.#isWhole = true;
    this.#parts.update(host, this.#open);
    this.refreshTimes();
  }

  #makeParts() {
    const parts = new HostRowParts(this.#context, this.#id, {
      select: (on) => {
        this.#selected = on;
        this.#select();
      },
      toggle: () => this.#toggleLog(),
      started: () => this.setOpen(true),
    });
    parts.selected = this.#selected;
    return parts;
  }

  #ask() {
    const host = this.#host;
    if (!host) return;
    this.#lastLines.watch(this.#id, this.#inView && host.run && hostState(host) === 'running' ? host.run.run_id : null);
    const deployment = deploymentOf(host);
    if (this.#inView && deployment && deployment.status !== 'ok') this.#details.want(host.id, deployment.run_id);
  }

  #toggleLog() {
    const run = this.#host?.run;
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
      this.querySelector('.row-log')?.remove();
      this.#panel = null;
      return;
    }
    if (this.#panel?.runId !== host.run.run_id) {
      this.#panel = new LogPanel(this.#context, host.run, true);
      this.querySelector('.row-log')?.remove();
      this.append(h('div', { class: 'row-log' }, this.#panel));
    }
    this.#panel.update(host.run);
  }
}

customElements.define('sy-host-row', HostRow);
