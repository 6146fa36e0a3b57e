/** Who is signed in, since when and from where, and how to end that. */

import { hasPassword } from '../model/access.js';
import { age, dateTime, plural } from '../model/format.js';
import { AccessPanel, KeyedList } from './access-panel.js';
import { confirm, confirmWithPassword } from './confirm.js';
import { h, setAttribute, setText, setTime } from './dom.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/access.js').Session} Session */

export class AccessSessions extends AccessPanel {
  /** @type {Session[]} */
  #sessions = [];
  #text = h('span', { class: 'quiet' });
  #everybody = h('button', { type: 'button', onclick: () => void this.#endAll() }, 'Sign everyone out…');
  #list = h('ul', { class: 'access-list', role: 'list', 'aria-label': 'Sessions' });
  #rows = new KeyedList(this.#list, (/** @type {Session} */ session) => session.id, () => this.#row());
  #none = h('p', { class: 'nothing', hidden: true }, 'No sessions. API tokens and users who sign in through a proxy have none.');

  connectedCallback() {
    this.begin('the sessions', h('div', { class: 'access-bar' }, this.#text, h('span', { class: 'gap' }), this.#everybody), this.#list, this.#none);
  }

  /** @override */
  async read() {
    const { sessions } = await this.context.api.sessions();
    return () => {
      this.#sessions = sessions;
      const users = new Set(sessions.map(({ user }) => user)).size;
      setText(this.#text, `${plural(sessions.length, 'session')} of ${plural(users, 'user')}`);
      this.#everybody.disabled = sessions.length === 0;
      this.#none.hidden = sessions.length > 0;
      // The user with the latest session comes first, with all of theirs.
      const order = [...new Set(sessions.map(({ user }) => user))];
      this.#rows.draw([...sessions].sort((a, b) => order.indexOf(a.user) - order.indexOf(b.user)));
    };
  }

  /** @param {string} user */
  #of(user) {
    return this.#sessions.filter((session) => session.user === user);
  }

  #row() {
    const state = new StateBadge();
    const user = h('bdi', { class: 'name' });
    const from = h('span', { class: 'quiet' });
    const since = h('time', { class: 'quiet' });
    const seen = h('time');
    /** @type {Session} */
    let session;
    const endAll = h('button', { type: 'button', onclick: () => void this.#endAll(session.user) });
    const end = h('button', { type: 'button', class: 'stop', onclick: () => void this.#end(session) }, 'End…');
    const element = h(
      'li',
      { class: 'access-row session-row' },
      state, h('span', { class: 'what' }, user, from), h('span', { class: 'made' }, since), h('span', { class: 'use' }, seen), h('span', { class: 'row-buttons' }, endAll, end),
    );
    const show = (/** @type {Session} */ given) => {
      session = given;
      const all = this.#of(given.user);
      state.update(given.current ? 'ok' : 'idle', given.current ? 'this browser' : 'signed in');
      setText(user, given.user);
      setText(from, `from ${given.address ?? 'an unknown address'}`);
      setTime(since, given.created, `signed in ${dateTime(given.created)}`);
      setTime(seen, given.seen, `last seen ${age(this.context.clock.now() - Date.parse(given.seen))}`);
      element.dataset.user = given.user;
      element.dataset.current = String(given.current);
      setText(endAll, `End all ${all.length}…`);
      setAttribute(endAll, 'aria-label', `End all ${all.length} sessions of ${given.user}`);
      endAll.hidden = all.length < 2 || all[0]?.id !== given.id;
      setAttribute(end, 'aria-label', `End the session of ${given.user} since ${dateTime(given.created)}`);
    };
    return { element, show };
  }

  /** @param {Session} session */
  async #end(session) {
    const { api } = this.context;
    const whose = session.current ? 'your session in this browser' : `this session of ${session.user}`;
    const text = session.current ? 'You are signed out of this browser immediately.' : `The browser at ${session.address ?? 'an unknown address'} is signed out immediately.`;
    await this.#ask(`End ${whose}?`, [text, 'Runs continue. Anyone who knows the password can sign in again.'], () => api.endSession(session.id));
  }

  /** @param {string} [user] everybody's without one */
  async #endAll(user) {
    const { api } = this.context;
    const own = user === undefined || this.#of(user).some(({ current }) => current);
    const text = [
      user === undefined ? 'Everyone is signed out immediately, in every browser.' : `${user} is signed out immediately, in every browser.`,
      ...(own ? ['That includes you, in this browser.'] : []),
      'Runs continue and API tokens stay valid. Anyone who knows the password can sign in again.',
    ];
    if (user !== undefined) return this.#ask(`End all sessions of ${user}?`, text, () => api.endSessions(user));
    const title = 'Sign everyone out?';
    const [yes, no] = ['Sign everyone out', 'Cancel'];
    if (!hasPassword(this.me)) return this.#ask(title, text, () => api.endAllSessions(undefined), yes, no);
    await confirmWithPassword({ title, text, yes, no }, (password) => api.endAllSessions(password));
    await this.load();
  }

  /** @param {string} title @param {string[]} text @param {() => Promise<unknown>} end @param {string} [yes] @param {string} [no] */
  async #ask(title, text, end, yes = 'End', no = 'Keep') {
    if (!(await confirm({ title, text, yes, no }))) return;
    try {
      await end();
    } catch (error) {
      this.context.toasts.error('Could not end the session', error);
    }
    await this.load();
  }
}

customElements.define('sy-sessions', AccessSessions);
