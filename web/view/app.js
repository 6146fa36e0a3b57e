/** The page around the places: brand, connection, theme, title and icon. */

import { shownText } from '../model/ansi.js';
import { Clock } from '../model/clock.js';
import { Fleet } from '../model/fleet.js';
import { DEFAULTS } from '../model/place.js';
import { parseRoute } from '../model/route.js';
import { countStates, hostState, runState, STATES, worstState } from '../model/status.js';
import { Api, ApiError } from '../net/api.js';
import { Health } from '../net/health.js';
import { Socket } from '../net/socket.js';
import { Actions } from './actions.js';
import { Bell } from './bell.js';
import { ConnectionBanner } from './connection-banner.js';
import { h, oncePerFrame } from './dom.js';
import { FleetPage } from './fleet-page.js';
import { StorageBanner, WarningBanner } from './health-banners.js';
import { HostPage } from './host-page.js';
import { LaterPage } from './later-page.js';
import { listenForLogKeys } from './log-keys.js';
import { LoginPage } from './login-page.js';
import { NowherePage } from './nowhere-page.js';
import { RunPage } from './run-page.js';
import { ThemeSwitch } from './theme-switch.js';
import { Toasts } from './toasts.js';
import { TopBar } from './top-bar.js';
import { Announcer } from './announcer.js';

export class App extends HTMLElement {
  #api = new Api();
  #fleet = new Fleet();
  #clock = new Clock();
  #socket = new Socket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/browser?updates=changes`);
  #toasts = new Toasts();
  #announcer = new Announcer(this.#fleet);
  #banner = new ConnectionBanner(this.#socket);
  #health = new Health(this.#api);
  #banners = h('div', { class: 'banners' }, this.#toasts, new WarningBanner(this.#health), new StorageBanner(this.#health), this.#banner);
  #bell = new Bell({ fleet: this.#fleet, toasts: this.#toasts, go: (path) => this.#go(path) });
  #top = new TopBar([this.#bell, new ThemeSwitch()], () => void this.#signOut());
  #main = h('main', { id: 'main' });
  /** @type {import('./context.js').Context} */
  #context;
  /** @type {FleetPage | HostPage | RunPage | LaterPage | NowherePage | null} */
  #page = null;
  /** The path of the page that is shown. */
  #shown = '';
  /** Entries of the history as they were left, by their keys. @type {Map<number, {scroll: number, open: string[]}>} */
  #kept = new Map();
  #key = 0;
  #titleSoon = oncePerFrame(() => this.#drawTitle());

  constructor() {
    super();
    const actions = new Actions(this.#api, this.#fleet, this.#toasts, this.#clock);
    this.#context = {
      fleet: this.#fleet, clock: this.#clock, socket: this.#socket, api: this.#api, actions, toasts: this.#toasts,
      go: (path) => this.#go(path),
    };
  }

  connectedCallback() {
    this.append(this.#top, this.#main, this.#banners, this.#announcer);
    this.#api.onUnauthorized = () => this.#showLogin();
    this.#api.onForbidden = () => this.#context.actions.forbid(true);
    this.#api.onTime = (time) => this.#clock.learn(time);
    this.#api.onUnavailable = () => this.#health.hint();
    this.#socket.onMessage = (message) => this.#receive(message);
    this.#socket.onConnection = () => this.#connection();
    this.#socket.mayRetry = () => this.#hasSession();
    this.#fleet.onChange(() => this.#titleSoon());
    listenForLogKeys();
    // A phone is too narrow for times beside lines, and for lines that are not wrapped.
    if (matchMedia('(max-width: 820px)').matches) Object.assign(DEFAULTS, { wrap: true, times: 'off' });
    history.scrollRestoration = 'manual';
    addEventListener('popstate', () => this.#back());
    addEventListener('online', () => this.#socket.connection.state === 'waiting' && this.#socket.retryNow());
    document.addEventListener('click', (event) => this.#clicked(event));
    this.#health.start();
    void this.#begin();
  }

  /** Does not wait to know whether there is a session: without one, the login comes over what is there. */
  async #begin() {
    this.#show();
    this.#socket.connect();
    await this.#hasSession();
  }

  /** Whether it makes sense to connect; without a session the login is shown instead. */
  async #hasSession() {
    try {
      const { name, role, hosts } = await this.#api.me();
      this.#top.who(name);
      this.#context.actions.isAdmin = role === 'admin';
      this.#health.isTold = role === 'admin' && hosts === '*';
      this.#context.actions.forbid(role === 'viewer');
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return false;
    }
    return true;
  }

  /** Asks over what is on screen, so that nobody loses their place. */
  #showLogin() {
    this.#socket.close();
    this.#health.isTold = false;
    if (this.querySelector('sy-login')) return;
    document.title = 'Sign in · Switchyard';
    this.append(new LoginPage(this.#api, this.#fleet.loaded, () => {
      this.#top.signedIn(true);
      void this.#hasSession();
      if (this.#page) this.#socket.connect();
      else void this.#begin();
      this.#drawTitle();
    }));
  }

  #leave() {
    this.#fleet.loaded = false;
    this.#page = null;
    this.#shown = '';
    delete this.dataset.place;
    this.#main.replaceChildren();
    this.#top.signedIn(false);
    this.#showLogin();
  }

  async #signOut() {
    try {
      await this.#api.logout();
      this.#leave();
    } catch (error) {
      this.#toasts.error('Could not sign out', error);
    }
  }

  /** @param {any} message */
  #receive(message) {
    if (message?.type === 'tick') this.#clock.learn(message.time);
    else if (message?.type === 'error') this.#toasts.error('The dashboard reported an error', String(message.detail));
    else this.#fleet.receive(message);
    if (message?.type === 'host_update') this.#clock.notBefore(message.host.last_seen);
    if (message?.type === 'hosts') this.#banner.told(message.version);
  }

  #connection() {
    this.#banner.refresh();
    if (this.#socket.connection.state !== 'open') return;
    this.#fleet.begin();
    this.#health.hint();
    if (this.#page && 'reconnected' in this.#page) this.#page.reconnected();
  }

  /** Links within the page load nothing anew. @param {MouseEvent} event */
  #clicked(event) {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.origin !== location.origin || link.hasAttribute('download') || link.target) return;
    event.preventDefault();
    this.#go(link.pathname + link.search + link.hash);
  }

  /** @param {string} path */
  #go(path) {
    this.#keep();
    if (path !== location.pathname + location.search + location.hash) history.pushState({ key: Math.random() }, '', path);
    this.#show();
    scrollTo(0, 0);
  }

  /** Remembers how the place looks that is left. */
  #keep() {
    this.#kept.set(this.#key, { scroll: scrollY, open: this.#page instanceof FleetPage ? this.#page.open : [] });
  }

  /** To another entry of the history, as it was left. */
  #back() {
    const before = this.#page;
    this.#keep();
    this.#show();
    const kept = this.#kept.get(this.#key);
    if (!kept || this.#page === before) return;
    if (this.#page instanceof FleetPage) this.#page.openLogs(kept.open);
    scrollSoon(kept.scroll);
  }

  #show() {
    const route = parseRoute(location.pathname);
    if (this.#page instanceof RunPage && this.#shown === location.pathname) {
      this.#key = history.state?.key ?? 0;
      return this.#page.placed();
    }
    this.#shown = location.pathname;
    this.#key = history.state?.key ?? 0;
    this.#page =
      route.name === 'run' ? new RunPage(this.#context, route.host, route.run)
      : route.name === 'host' ? new HostPage(this.#context, route.host)
      : route.name === 'access' ? new LaterPage(async () => new (await import('./access-page.js')).AccessPage(this.#context))
      : route.name === 'nowhere' ? new NowherePage()
      : new FleetPage(this.#context);
    this.dataset.place = route.name;
    this.#main.replaceChildren(this.#page);
    this.#top.trail(route);
    this.#drawTitle();
  }

  #drawTitle() {
    if (!this.#page) return;
    const route = parseRoute(location.pathname);
    const host = 'host' in route ? this.#fleet.hosts.get(route.host) : undefined;
    const run = route.name === 'run' ? this.#fleet.findRun(route.host, route.run) : undefined;
    const counts = countStates(this.#fleet.hosts.values());
    const state = run ? runState(run) : host ? hostState(host) : worstState(counts);
    const busy = counts.get('running') ?? 0;
    const name = route.name === 'access' ? 'Access' : route.name === 'nowhere' ? 'Page not found' : route.name === 'fleet' ? (busy > 0 ? `${busy} running` : 'Fleet') : route.name === 'host' ? route.host : `${run?.command ?? 'run'} on ${route.host}`;
    document.title = shownText(`${STATES[state].glyph} ${name} · Switchyard`);
    document.querySelector('link[rel="icon"]')?.setAttribute('href', `/icons/${state}.svg`);
  }
}

/** As soon as what is shown is high enough for it. @param {number} top @param {number} [frames] how long it is waited for */
function scrollSoon(top, frames = 180) {
  scrollTo(0, top);
  if (Math.abs(scrollY - top) > 1 && frames > 0) requestAnimationFrame(() => scrollSoon(top, frames - 1));
}

customElements.define('sy-app', App);
