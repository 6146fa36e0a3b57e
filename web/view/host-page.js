/** One host: what it is, what it can do, and its runs. */

import { plainName } from '../model/ansi.js';
import { age, dateTime, exactTime, plural, shortRevision } from '../model/format.js';
import { deploymentOf, hostState, hostWord } from '../model/status.js';
import { endText, hostText, lastText, skewText } from '../model/summary.js';
import { ACCESS_PATH, runPath } from '../model/route.js';
import { bootedText, nextBootText, rebootText, runningGeneration, systemsText } from '../model/systems.js';
import { RunDetails } from '../net/run-details.js';
import { ActionBar } from './action-bar.js';
import { ConflictPanel } from './conflict-panel.js';
import { h, oncePerFrame, setHint, setText, setTime } from './dom.js';
import { notFound } from './nowhere-page.js';
import { RunList } from './run-list.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/types.js').Host} Host */

/** Facts that are shown only where there is something to say. */
const SOMETIMES = ['Last seen', 'Host name', 'Clock', 'Next boot', 'Booted'];

export class HostPage extends HTMLElement {
  #context;
  #id;
  #state = new StateBadge();
  #text = h('p', { class: 'host-text' });
  #last = h('p', { class: 'host-text' });
  #systems = h('p', { class: 'host-text alarming', hidden: true });
  #conflict;
  #details;
  #facts = h('dl', { class: 'host-facts' });
  #actions;
  #runs;
  #unknown;
  #known = h('div', {});
  #redraw = oncePerFrame(() => this.#draw());
  /** @type {() => void} */
  #end = () => {};

  /** @param {import('./context.js').Context} context @param {string} id */
  constructor(context, id) {
    super();
    this.#context = context;
    this.#id = id;
    this.#actions = new ActionBar(context, (run) => context.go(runPath(id, run)));
    this.#runs = new RunList(context, id);
    this.#conflict = new ConflictPanel(context);
    this.#unknown = notFound(`Unknown host “${id}”`, 'Create a token for it under Access, or check the name.', h('a', { href: '/' }, 'Go to the fleet'), ' · ', h('a', { href: ACCESS_PATH }, 'Access'));
    this.#details = new RunDetails(context.api, context.fleet);
  }

  connectedCallback() {
    this.#known.append(
      h('header', { class: 'host-head' }, h('div', { class: 'run-title' }, this.#state, h('h1', {}, this.#id), h('span', { class: 'gap' }), this.#actions), this.#text, this.#systems, this.#last),
      this.#conflict,
      this.#facts,
      this.#runs,
    );
    this.append(this.#known);
    const { fleet, actions, socket } = this.#context;
    const stop = fleet.onChange((host) => (host === null || host === this.#id) && this.#redraw());
    actions.onPending = () => this.#redraw();
    const timer = setInterval(() => this.#redraw(), 1000);
    const unwatch = socket.watchMetrics(this.#id);
    this.#end = () => {
      stop();
      unwatch();
      clearInterval(timer);
    };
    this.#draw();
  }

  disconnectedCallback() {
    this.#end();
  }

  reconnected() {
    void this.#runs.load();
  }

  #draw() {
    const { fleet, clock } = this.#context;
    const host = fleet.hosts.get(this.#id);
    const shown = fleet.loaded && !host ? this.#unknown : this.#known;
    if (shown && this.firstElementChild !== shown) this.replaceChildren(shown);
    this.#actions.hidden = this.#state.hidden = !host;
    if (!host) return;
    this.#state.update(hostState(host), hostWord(host));
    const deployment = deploymentOf(host);
    const details = fleet.deployed(host);
    if (deployment && !details) this.#details.want(host.id, deployment.run_id);
    setText(this.#text, host.conflict ? '' : hostText(host, clock, details));
    this.#text.classList.toggle('failed', hostState(host) === 'failed');
    this.#conflict.update(host);
    setText(this.#systems, systemsText(host));
    this.#systems.hidden = systemsText(host) === '';
    setHint(this.#text, exactTime(host.run?.status === 'queued' ? host.run.expires : null));
    const beside = lastText(host, clock);
    setHint(this.#last, exactTime(host.run?.completed));
    setText(this.#last, beside.text && `Last run: ${beside.text}${beside.reason && ` · ${beside.reason}`}`);
    this.#actions.update(host);
    this.#drawFacts(host);
    if (host.run) this.#runs.current(host.run);
  }

  /** @param {Host} host */
  #drawFacts(host) {
    const { clock } = this.#context;
    const percent = (/** @type {number | null | undefined} */ n) => (n == null ? '' : `${Math.round(n)} %`);
    const m = host.metrics;
    const facts = [
      ['Host name', host.hostname !== host.id ? plainName(host.hostname ?? '') : null],
      ['Contact', host.online ? 'connected' : host.last_seen ? age(clock.now() - Date.parse(host.last_seen)) : 'never', host.online ? null : host.last_seen],
      ['Deployed', deployedText(host, clock), deploymentOf(host)?.completed],
      ['Generation', runningGeneration(host)?.toString()],
      ['Next boot', nextBootText(host)],
      ['Booted', bootedText(host)],
      ['Configuration', host.revision && shortRevision(host.revision) + (host.behind ? `, ${plural(host.behind, 'commit')} ahead of the running system` : '')],
      ['NixOS', host.os_version],
      ['nixpkgs', host.nixpkgs_version],
      ['Kernel', host.kernel],
      ['Reboot', rebootText(host)],
      ['Clock', skewText(host)],
      ['Agent', host.agent_version],
      ['CPU', percent(m?.cpu)],
      ['Memory', percent(m?.ram)],
      ['Swap', percent(m?.swap)],
      ['Load', m?.load?.toFixed(2)],
      ['Last seen', host.last_seen && !host.online ? dateTime(host.last_seen) : null, host.last_seen],
      ['System', host.system],
    ];
    for (const [i, [name, value, time]] of facts.entries()) {
      const entry = this.#facts.children[i] ?? this.#facts.appendChild(h('div', {}, h('dt', {}, name), h('dd', {})));
      setTime(/** @type {Element} */ (entry.lastElementChild), time, value || '–');
      /** @type {HTMLElement} */ (entry).hidden = SOMETIMES.includes(name ?? '') && !value;
      entry.classList.toggle('unknown', !value);
      entry.classList.toggle('alarming', Boolean(value) && (name === 'Clock' || name === 'Next boot' || Boolean(value?.startsWith('needed'))));
      entry.classList.toggle('wide', name === 'System');
    }
  }
}

/** `Switch · 5 min ago · c0ffee00` @param {Host} host @param {import('../model/clock.js').Clock} clock */
function deployedText(host, clock) {
  const deployment = deploymentOf(host);
  if (!deployment) return null;
  return [endText(deployment, host, clock), deployment.revision && shortRevision(deployment.revision)].filter(Boolean).join(' · ');
}

customElements.define('sy-host', HostPage);
