/** The sign-in dialog, over the place that is shown, which stays as it is. */

import { ApiError } from '../net/api.js';
import { escapes, h, setText } from './dom.js';

/** @typedef {import('./dom.js').Child} Child */

export class LoginPage extends HTMLElement {
  #api;
  #done;
  #user = h('input', { name: 'user', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false' });
  #password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  #code = h('input', { name: 'code', autocomplete: 'one-time-code', inputmode: 'numeric' });
  #problem = h('p', { class: 'login-problem', role: 'alert' });
  #button = h('button', { type: 'submit', class: 'primary' }, 'Sign in');
  #dialog;

  /** @param {import('../net/api.js').Api} api @param {boolean} ended whether there was a session @param {() => void} done */
  constructor(api, ended, done) {
    super();
    this.#api = api;
    this.#done = done;
    const submit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      void this.#signIn();
    };
    const keep = (/** @type {Event} */ event) => event.preventDefault();
    const text = 'Your session has ended. Sign in again to continue.';
    const form = h(
      'form',
      { onsubmit: submit },
      ended && h('p', {}, text),
      h('label', {}, 'User name', this.#user),
      h('label', {}, 'Password', this.#password),
      h('label', {}, 'One-time code (if you have one)', this.#code),
      this.#problem,
      this.#button,
    );
    this.#dialog = h(
      'dialog',
      // There is nothing to see without signing in. Browsers let a second Escape close it all the same.
      { class: 'login', 'aria-label': 'Sign in', oncancel: keep, onkeydown: escapes(keep), onclose: () => this.isConnected && this.#dialog.showModal() },
      h('img', { src: '/icons/brand.svg', alt: '', width: 44, height: 44 }),
      h('h1', {}, 'Switchyard'),
      ...(isSecureContext ? [form] : insecure()),
    );
  }

  connectedCallback() {
    this.append(this.#dialog);
    this.#dialog.showModal();
    this.#user.focus();
    // A link that got the focus may lie far below.
    this.#dialog.scrollTop = 0;
  }

  async #signIn() {
    this.#button.disabled = true;
    setText(this.#problem, '');
    try {
      await this.#api.login(this.#user.value, this.#password.value, this.#code.value.trim());
      if (!(await this.#api.hasSession())) return setText(this.#problem, 'The password is right, but the browser did not keep the sign-in cookie. Allow cookies for this site, then sign in again.');
      this.#dialog.close();
      this.remove();
      this.#done();
    } catch (error) {
      setText(this.#problem, explain(error));
      this.#password.select();
    } finally {
      this.#button.disabled = false;
    }
  }
}

/** Where a browser keeps no cookie of a sign-in, no password is asked for. @returns {Child[]} */
function insecure() {
  const { origin, hostname, port } = location;
  return [
    h('p', { role: 'alert' }, `You cannot sign in at ${origin}: without TLS (https) your password would be sent unencrypted, and the browser would not keep you signed in.`),
    h('p', {}, 'Open ', h('a', { href: `https://${hostname}/` }, `https://${hostname}`), ' instead. If the dashboard has no TLS, run this tunnel on your machine, then open http://localhost:8000:'),
    h('pre', {}, `ssh -N -L 8000:localhost:${port || 8000} ${hostname.replace(/[[\]]/g, '')}`),
  ];
}

/** @param {unknown} error */
function explain(error) {
  if (!(error instanceof ApiError)) return String(error);
  if (error.status === 401) return 'Wrong user name, password or code.';
  if (error.status === 429) return error.message || 'Too many attempts. Wait a minute, then try again.';
  return error.message;
}

customElements.define('sy-login', LoginPage);
