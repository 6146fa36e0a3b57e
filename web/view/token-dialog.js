/** Makes a token, and shows it the one time that it can be shown. */

import { validOf } from '../model/access.js';
import { expiresIn, LIFETIMES, tokenPlace } from '../model/new-token.js';
import { ApiError } from '../net/api.js';
import { escapes, h, setText } from './dom.js';

/** @typedef {import('../model/access.js').Token} Token */
/** @typedef {import('../model/new-token.js').Kind} Kind */

/** @type {[Kind, string, string][]} */
const KINDS = [
  ['agent', 'A host', 'Lets the agent of a host connect'],
  ['enrolment', 'Enrolment', 'Lets one new host get its own token, once'],
  ['api', 'The API', 'Lets a program use the API'],
];

export class TokenDialog extends HTMLElement {
  #context;
  #done;
  #tokens;
  /** @type {Kind} */
  #kind = 'agent';
  #host = h('input', { name: 'host', required: true, list: 'token-known', autocapitalize: 'none', autocomplete: 'off', spellcheck: 'false' });
  #name = h('input', { name: 'name', required: true, autocapitalize: 'none', autocomplete: 'off', spellcheck: 'false', placeholder: 'ci' });
  #role = h('select', { name: 'role' }, ...['viewer', 'operator', 'admin'].map((role) => h('option', { value: role }, role)));
  #hosts = h('input', { name: 'hosts', required: true, autocapitalize: 'none', autocomplete: 'off', spellcheck: 'false', placeholder: 'web-*,db1' });
  #expires = h('select', { name: 'expires' }, ...LIFETIMES.map(([name, text]) => h('option', { value: name }, text)));
  #fields = h('div', { class: 'fields' });
  /** Not asked of those who have none. */
  #password = h('input', { name: 'password', type: 'password', required: true, autocomplete: 'current-password' });
  #asksPassword;
  #problem = h('p', { class: 'login-problem', role: 'alert' });
  #make = h('button', { type: 'submit', class: 'primary' }, 'Create token');
  #dialog;
  /** Closing it by mistake would lose the token. */
  #mayClose = true;

  /**
   * @param {import('./context.js').Context} context @param {boolean} asksPassword
   * @param {string} host the token is for, if that is known @param {Token[]} tokens there are @param {() => void} done
   */
  constructor(context, asksPassword, host, tokens, done) {
    super();
    this.#context = context;
    this.#asksPassword = asksPassword;
    this.#tokens = tokens;
    this.#done = done;
    this.#host.value = host;
    const keep = (/** @type {Event} */ event) => {
      if (!this.#mayClose) event.preventDefault();
    };
    // Browsers let a second Escape, or a phone's gesture, close it all the same: then it is opened again.
    const closed = () => (this.#mayClose ? this.remove() : this.#dialog.showModal());
    this.#dialog = h('dialog', { class: 'confirm token-dialog', 'aria-labelledby': 'token-title', oncancel: keep, onkeydown: escapes(keep), onclose: closed });
  }

  connectedCallback() {
    const submit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      void this.#issue();
    };
    const hosts = [...this.#context.fleet.hosts.keys()].map((id) => h('option', { value: id }));
    this.#dialog.append(
      h(
        'form',
        { onsubmit: submit },
        h('h2', { id: 'token-title' }, this.#host.value ? `New token for ${this.#host.value}` : 'New token'),
        this.#host.value === '' && this.#choice(),
        h('datalist', { id: 'token-known' }, ...hosts),
        this.#fields,
        this.#asksPassword && h('div', { class: 'fields' }, field('Your password', this.#password, 'Asked again because a token stays valid after you sign out')),
        this.#problem,
        h('div', { class: 'confirm-buttons' }, h('button', { type: 'button', onclick: () => this.#dialog.close() }, 'Cancel'), this.#make),
      ),
    );
    this.#choose('agent');
    this.append(this.#dialog);
    this.#dialog.showModal();
    if (!this.#host.value) this.#host.focus();
    else if (this.#asksPassword) this.#password.focus();
    else this.#make.focus();
  }

  #choice() {
    const one = (/** @type {[Kind, string, string]} */ [kind, label, help]) =>
      h('label', {}, h('input', { type: 'radio', name: 'kind', value: kind, checked: kind === 'agent', onchange: () => this.#choose(kind) }), h('span', {}, h('strong', {}, label), h('small', {}, help)));
    return h('fieldset', { class: 'kinds' }, h('legend', { class: 'unseen' }, 'What it is for'), ...KINDS.map(one));
  }

  /** @param {Kind} kind */
  #choose(kind) {
    this.#kind = kind;
    setText(this.#problem, '');
    this.#hosts.value = kind === 'api' ? '*' : '';
    this.#expires.value = kind === 'api' ? '90 d' : '1 d';
    const patterns = field('Hosts', this.#hosts, 'Host names separated by commas; * stands for any text, * alone for every host');
    const fields = {
      agent: [field('Host', this.#host, 'The networking.hostName of the host. A new host appears in the fleet immediately.')],
      enrolment: [patterns, field('Expires', this.#expires)],
      api: [field('Name', this.#name, 'Shown in the audit log and beside runs'), field('Role', this.#role), patterns, field('Expires', this.#expires)],
    };
    this.#fields.replaceChildren(...fields[kind]);
  }

  async #issue() {
    this.#make.disabled = true;
    setText(this.#problem, '');
    const hosts = this.#hosts.value.replace(/\s+/g, '');
    const expires = expiresIn(this.#expires.value, this.#context.clock.now());
    const wish = {
      agent: { kind: 'agent', host_id: this.#host.value.trim() },
      enrolment: { kind: 'enrolment', hosts, expires },
      api: { kind: 'api', name: this.#name.value.trim(), role: this.#role.value, hosts, expires },
    }[this.#kind];
    const again = this.#asksPassword ? { password: this.#password.value } : {};
    try {
      const { token } = await this.#context.api.issueToken({ ...wish, ...again });
      this.#show(token);
      this.#done();
    } catch (error) {
      setText(this.#problem, error instanceof Error ? error.message : String(error));
      if (error instanceof ApiError && error.status === 403) this.#password.select();
    } finally {
      this.#make.disabled = false;
    }
  }

  /** @param {string} token */
  #show(token) {
    this.#mayClose = false;
    const secret = h('input', { class: 'secret', readonly: true, value: token, 'aria-label': 'The token', spellcheck: 'false', autocomplete: 'off', onfocus: () => secret.select() });
    const said = h('p', { class: 'quiet', role: 'status' }, 'Save it now: it is shown only once.');
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(token);
        setText(said, 'Copied. Save it now: it is shown only once.');
      } catch {
        secret.focus();
        setText(said, 'The browser refused to copy. The token is selected: press Ctrl C.');
      }
    };
    const host = this.#host.value.trim();
    const before = this.#tokens.find((one) => one.kind === 'agent' && one.host_id === host);
    const replaces = before !== undefined && validOf(before, this.#tokens, this.#context.clock.now()).length > 0;
    const { title, text, code } = tokenPlace(this.#kind, this.#kind === 'agent' ? host : this.#name.value.trim(), replaces, location);
    const copyButton = h('button', { type: 'button', class: 'primary', onclick: () => void copy() }, 'Copy');
    this.#dialog.replaceChildren(
      h('h2', { id: 'token-title' }, title),
      h('div', { class: 'secret-line' }, secret, copyButton),
      said,
      ...text.map((paragraph) => h('p', {}, paragraph)),
      h('pre', {}, code),
      h('div', { class: 'confirm-buttons' }, h('button', { type: 'button', onclick: () => this.#saved() }, 'I have saved it')),
    );
    copyButton.focus();
  }

  #saved() {
    this.#mayClose = true;
    this.#dialog.close();
  }
}

/** @param {string} label @param {HTMLInputElement | HTMLSelectElement} input @param {string} [help] */
function field(label, input, help) {
  input.id = `token-${input.name}`;
  if (help) input.setAttribute('aria-describedby', `${input.id}-help`);
  return h('div', {}, h('label', { for: input.id }, label), input, help && h('small', { id: `${input.id}-help` }, help));
}

customElements.define('sy-token-dialog', TokenDialog);
