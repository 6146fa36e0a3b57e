/** Who may come in: oneself for everybody; for admins of every host also tokens, sessions and the audit log. */

import { hostsText, mayManage, roleText, viaText } from '../model/access.js';
import { dateTime } from '../model/format.js';
import { ACCESS_PATH } from '../model/route.js';
import { AccessAudit } from './access-audit.js';
import { AccessSessions } from './access-sessions.js';
import { AccessTokens } from './access-tokens.js';
import { confirm } from './confirm.js';
import { h, setAttribute, setText, setTime } from './dom.js';

/** @typedef {import('../model/access.js').Me} Me */

/** @type {Record<string, {label: string, Panel: typeof AccessTokens | typeof AccessSessions | typeof AccessAudit}>} */
const TABS = {
  tokens: { label: 'Tokens', Panel: AccessTokens },
  sessions: { label: 'Sessions', Panel: AccessSessions },
  audit: { label: 'Audit log', Panel: AccessAudit },
};

const REFRESH_MS = 4000;
/** Whoever does nothing for so long is not there: to ask on would keep their session alive. */
const AWAY_MS = 120_000;

export class AccessPage extends HTMLElement {
  #context;
  #facts = h('dl', { class: 'host-facts' });
  #endMine = h('button', { type: 'button', hidden: true, onclick: () => void this.#endAllOfMine() }, 'Sign out everywhere…');
  #may = h('p', { class: 'access-may' });
  #tabs = h('nav', { class: 'tabs', 'aria-label': 'Access', hidden: true });
  #place = h('div', { class: 'access-place' });
  /** @type {InstanceType<typeof TABS[string]['Panel']> | null} */
  #panel = null;
  /** @type {AbortController | null} */
  #life = null;
  #active = 0;
  #who = '';
  /** @type {Me | null} */
  #me = null;
  /** Whose answer is waited for. @type {InstanceType<typeof TABS[string]['Panel']> | null} */
  #refreshing = null;

  /** @param {import('./context.js').Context} context */
  constructor(context) {
    super();
    this.#context = context;
  }

  connectedCallback() {
    this.append(
      h('header', { class: 'run-title' }, h('h1', {}, 'Access'), h('span', { class: 'gap' }), this.#endMine),
      this.#may, this.#facts, this.#tabs, this.#place,
    );
    for (const [name, { label }] of Object.entries(TABS)) {
      const show = (/** @type {MouseEvent} */ event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        if (name !== this.#tab) history.pushState(null, '', link.href);
        this.#show();
      };
      const link = h('a', { href: `${ACCESS_PATH}?tab=${name}`, 'data-tab': name, onclick: show }, label);
      this.#tabs.append(link);
    }
    this.#drawMe(null);
    this.#life = new AbortController();
    const { signal } = this.#life;
    const here = () => (this.#active = performance.now());
    for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) addEventListener(event, here, { signal, passive: true });
    document.addEventListener('visibilitychange', () => !document.hidden && this.#panel?.refresh(), { signal });
    const timer = setInterval(() => void this.#refresh(), REFRESH_MS);
    signal.addEventListener('abort', () => clearInterval(timer));
    here();
    void this.#load();
  }

  disconnectedCallback() {
    this.#life?.abort();
  }

  /** Somebody else may be signed in now. */
  reconnected() {
    void this.#load();
  }

  /** A dashboard that is slow is not asked again meanwhile. */
  async #refresh() {
    const panel = this.#panel;
    if (!panel || panel === this.#refreshing || document.hidden || performance.now() - this.#active > AWAY_MS || document.querySelector('dialog[open]')) return;
    this.#refreshing = panel;
    await panel.refresh();
    if (this.#refreshing === panel) this.#refreshing = null;
  }

  get #tab() {
    const asked = new URLSearchParams(location.search).get('tab');
    return asked && Object.hasOwn(TABS, asked) ? asked : 'tokens';
  }

  async #load() {
    try {
      const me = await this.#context.api.me();
      if (!this.isConnected) return;
      const who = JSON.stringify(me);
      if (who === this.#who) return void this.#panel?.refresh();
      this.#who = who;
      this.#drawMe(me);
      // What another one saw before is not shown to this one.
      this.#panel = null;
      this.#place.replaceChildren();
      this.#me = me;
      if (mayManage(me)) this.#show();
    } catch (error) {
      this.#context.toasts.error('Could not load your account', error);
    }
  }

  #show() {
    if (!this.#me) return;
    const tab = this.#tab;
    for (const link of this.#tabs.children) setAttribute(link, 'aria-current', /** @type {HTMLElement} */ (link).dataset.tab === tab && 'page');
    const { Panel } = TABS[tab] ?? { Panel: AccessTokens };
    if (this.#panel instanceof Panel) return void this.#panel.load();
    this.#panel = new Panel(this.#context, this.#me);
    this.#place.replaceChildren(this.#panel);
  }

  /** @param {Me | null} me */
  #drawMe(me) {
    const facts = [
      ['Name', me?.name],
      ['Role', me?.role],
      ['Hosts', me && hostsText(me.hosts)],
      ['Access expires', me && (me.expires ? dateTime(me.expires) : 'never'), me?.expires],
      ['Signed in with', me && viaText(me.via)],
    ];
    for (const [i, [name, value, time]] of facts.entries()) {
      const entry = this.#facts.children[i] ?? this.#facts.appendChild(h('div', {}, h('dt', {}, name), h('dd', {})));
      setTime(/** @type {Element} */ (entry.lastElementChild), time, value || '…');
    }
    this.#endMine.hidden = me?.via !== 'session';
    this.#tabs.hidden = !me || !mayManage(me);
    setText(this.#may, me ? roleText(me) : '');
  }

  async #endAllOfMine() {
    const yes = await confirm({
      title: 'Sign out everywhere?',
      text: ['You are signed out immediately, here and in every other browser. API tokens stay valid.', 'Use this if you lost a device or forgot to sign out.'],
      yes: 'Sign out everywhere',
      no: 'Stay signed in',
    });
    if (!yes) return;
    const { api, toasts } = this.#context;
    try {
      const { ended } = await api.logoutAll();
      toasts.notice(`${ended === 1 ? 'Your session is' : `Your ${ended} sessions are`} ended`);
      // The answer is that there is no session, and the page asks to sign in.
      await api.me().catch(() => {});
    } catch (error) {
      toasts.error('Could not end your sessions', error);
    }
  }
}

customElements.define('sy-access', AccessPage);
