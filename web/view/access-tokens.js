/** Every token: what it lets in, whether it is used, and how to replace it and take it back. */

import { compareTokens, expiryText, hasPassword, isValid, madeText, revokeQuestion, rotation, tokenName, tokenState, tokenText, useText, validOf } from '../model/access.js';
import { count, dateTime, exactTime, plural } from '../model/format.js';
import { hostPath } from '../model/route.js';
import { AccessPanel, KeyedList } from './access-panel.js';
import { confirm } from './confirm.js';
import { h, setAttribute, setText, setTime } from './dom.js';
import { StateBadge } from './state-badge.js';
import { TokenDialog } from './token-dialog.js';

/** @typedef {import('../model/access.js').Token} Token */

const MOST_OF_A_HOST = 2;

export class AccessTokens extends AccessPanel {
  /** @type {Token[]} */
  #tokens = [];
  #since = '';
  #text = h('span', { class: 'quiet' });
  #filter = h('input', { type: 'search', placeholder: 'Filter tokens', 'aria-label': 'Filter tokens', oninput: () => this.#draw() });
  #old = h('button', { type: 'button', class: 'quiet', 'aria-pressed': 'false', onclick: () => this.#toggleOld() });
  #list = h('ul', { class: 'access-list', role: 'list', 'aria-label': 'Tokens' });
  #rows = new KeyedList(this.#list, (/** @type {Token} */ token) => token.id, () => this.#row());
  #none = h('p', { class: 'nothing', hidden: true });
  #showsOld = false;

  connectedCallback() {
    const make = h('button', { type: 'button', class: 'primary', onclick: () => this.#issue('') }, 'New token…');
    this.begin('the tokens', h('div', { class: 'access-bar' }, this.#text, h('span', { class: 'gap' }), this.#old, this.#filter, make), this.#list, this.#none);
  }

  /** @override */
  async read() {
    const { tokens, uses_since } = await this.context.api.tokens();
    return () => {
      this.#tokens = tokens.sort(compareTokens);
      this.#since = uses_since;
      this.#draw();
    };
  }

  #toggleOld() {
    this.#showsOld = !this.#showsOld;
    this.#draw();
  }

  #draw() {
    const now = this.context.clock.now();
    const valid = this.#tokens.filter((token) => isValid(token, now));
    const old = this.#tokens.length - valid.length;
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = (this.#showsOld ? this.#tokens : valid).filter((token) => {
      const text = `${tokenName(token)} ${tokenText(token)} ${madeText(token)} ${tokenState(token, now).word}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    setText(this.#text, `${plural(valid.length, 'valid token')} · usage tracked since ${dateTime(this.#since)}`);
    setAttribute(this.#text, 'title', `The dashboard forgets the usage of tokens when it restarts. Last restart: ${exactTime(this.#since)}`);
    setText(this.#old, `${this.#showsOld ? 'Hide' : 'Show'} ${count(old)} revoked or expired`);
    setAttribute(this.#old, 'aria-pressed', String(this.#showsOld));
    this.#old.hidden = old === 0;
    this.#none.hidden = shown.length > 0;
    setText(this.#none, words.length > 0 ? 'No tokens match the filter.' : 'No valid tokens. Create one for a host so that it can connect.');
    this.#rows.draw(shown);
  }

  #row() {
    const state = new StateBadge();
    const name = h('strong', {});
    const link = h('a', {}, name);
    const many = h('span', { class: 'many' });
    const text = h('span', { class: 'quiet' });
    const made = h('time', { class: 'quiet' });
    const use = h('time');
    const expires = h('time', { class: 'quiet' });
    const advice = h('p', { class: 'advice' });
    /** @type {Token} */
    let token;
    const renew = h('button', { type: 'button', onclick: () => this.#issue(token.host_id ?? '') }, 'New token');
    const revoke = h('button', { type: 'button', class: 'stop', onclick: () => void this.#revoke(token) }, 'Revoke…');
    const element = h(
      'li',
      { class: 'access-row token-row' },
      state, h('span', { class: 'what' }, link, many, text), h('span', { class: 'made' }, made), h('span', { class: 'use' }, use, expires),
      h('span', { class: 'row-buttons' }, renew, revoke), advice,
    );
    const show = (/** @type {Token} */ given) => {
      token = given;
      const now = this.context.clock.now();
      const valid = isValid(token, now);
      const living = token.kind === 'agent' && valid ? validOf(token, this.#tokens, now).length : 0;
      const { state: is, word } = tokenState(token, now);
      state.update(is, word);
      setText(name, tokenName(token));
      setAttribute(link, 'href', token.kind === 'agent' && token.host_id ? hostPath(token.host_id) : null);
      setText(many, living > 1 ? `${plural(living, 'valid token')}` : '');
      setText(text, tokenText(token));
      setTime(made, token.created, madeText(token));
      setTime(use, token.revoked ?? token.last_used, useText(token, now));
      setTime(expires, token.expires, token.revoked === null ? expiryText(token, now) : '');
      const { text: next, urgent } = rotation(token, this.#tokens, now);
      setText(advice, next);
      advice.classList.toggle('urgent', urgent);
      element.dataset.token = tokenName(token);
      const of = tokenName(token);
      setAttribute(renew, 'aria-label', `New token for ${of}`);
      setAttribute(revoke, 'aria-label', `Revoke the token of ${of} ${token.in_file ? 'from agents file' : `created ${madeText(token)}`}`);
      renew.hidden = token.kind !== 'agent' || !valid;
      renew.disabled = living >= MOST_OF_A_HOST;
      setAttribute(renew, 'title', renew.disabled ? `${of} already has two tokens: revoke one first` : `Create a second token for ${of}; this one stays valid`);
      revoke.hidden = token.revoked !== null;
    };
    return { element, show };
  }

  /** @param {string} host */
  #issue(host) {
    const dialog = new TokenDialog(this.context, hasPassword(this.me), host, this.#tokens, () => void this.load());
    this.append(dialog);
  }

  /** @param {Token} token */
  async #revoke(token) {
    if (!(await confirm(revokeQuestion(token, this.#tokens, this.context.clock.now())))) return;
    try {
      await this.context.api.revokeToken(token.id);
      this.context.toasts.notice(`Revoked the token of ${tokenName(token)}`);
    } catch (error) {
      this.context.toasts.error(`Could not revoke the token of ${tokenName(token)}`, error);
    }
    await this.load();
  }
}

customElements.define('sy-tokens', AccessTokens);
