/** Who did what to which host, when, from where, and with what result; the newest first. */

import { ACTIONS, actionText, auditState, detailText, formatFilter, hostsText, parseFilter, whoText } from '../model/audit.js';
import { ACCESS_PATH, hostPath, runPath } from '../model/route.js';
import { AccessPanel } from './access-panel.js';
import { h, setText, timeOf } from './dom.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/audit.js').Audited} Audited */

const PAGE = 100;
/** Where few records match, the dashboard answers with few at a time: so often is it asked on by itself. */
const ASKS_AT_ONCE = 5;
const ENOUGH = 25;
const TYPING_MS = 300;

export class AccessAudit extends AccessPanel {
  #host = h('input', { type: 'search', placeholder: 'Host', 'aria-label': 'Host, or part of its name', oninput: () => this.#typed() });
  #user = h('input', { type: 'search', placeholder: 'Who', 'aria-label': 'Who, or part of their name', oninput: () => this.#typed() });
  #action = h('select', { 'aria-label': 'Action', onchange: () => this.#asked() }, h('option', { value: '' }, 'Any action'), ...Object.entries(ACTIONS).map(([value, text]) => h('option', { value }, text)));
  #result = h('select', { 'aria-label': 'Result', onchange: () => this.#asked() }, h('option', { value: '' }, 'Any result'), h('option', { value: 'ok' }, 'ok'), h('option', { value: 'refused' }, 'failed or refused'));
  #list = h('ul', { class: 'access-list', role: 'list', 'aria-label': 'Audit log' });
  #none = h('p', { class: 'nothing', hidden: true });
  #older = h('button', { type: 'button', hidden: true, onclick: () => void this.attempt(() => this.#page(this.#next, true)) }, 'Older records');
  /** @type {number | null} */
  #next = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #typing;

  connectedCallback() {
    const filter = parseFilter(location.search);
    this.#host.value = filter.host;
    this.#user.value = filter.user;
    this.#action.value = filter.action;
    this.#result.value = filter.result;
    const again = h('button', { type: 'button', onclick: () => void this.load() }, 'Refresh');
    this.begin('the audit log', h('div', { class: 'access-bar', role: 'search' }, this.#host, this.#user, this.#action, this.#result, h('span', { class: 'gap' }), again), this.#list, this.#none, this.#older);
  }

  /** What is new waits until it is asked for: nothing moves under the eyes of who reads. @override */
  async refresh() {
    if (this.failed) await this.load();
  }

  /** @override */
  read() {
    return this.#page(null, false);
  }

  get #filter() {
    return formatFilter({ host: this.#host.value.trim(), user: this.#user.value.trim(), action: this.#action.value, result: this.#result.value });
  }

  #typed() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#asked(), TYPING_MS);
  }

  #asked() {
    history.replaceState(history.state, '', `${ACCESS_PATH}?tab=audit${this.#filter}`);
    void this.load();
  }

  /** @param {number | null} before @param {boolean} more whether what is shown stays */
  async #page(before, more) {
    const filter = this.#filter;
    /** @type {Audited[]} */
    const records = [];
    let next = before;
    for (let i = 0; i < ASKS_AT_ONCE && records.length < ENOUGH && (i === 0 || next !== null); i++) {
      const page = await this.context.api.audit(filter, PAGE, next);
      records.push(...page.records);
      next = page.next;
    }
    return () => {
      const rows = records.map(auditRow);
      if (more) this.#list.append(...rows);
      else this.#list.replaceChildren(...rows);
      this.#next = next;
      this.#older.hidden = next === null;
      this.#none.hidden = this.#list.childElementCount > 0;
      setText(this.#none, filter === '' ? 'No records yet.' : next === null ? 'No records match.' : 'None of the latest records match.');
    };
  }
}

/** @param {Audited} record */
function auditRow(record) {
  const badge = new StateBadge();
  const { state, word } = auditState(record);
  badge.update(state, word);
  const { host_id, run_id } = record;
  return h(
    'li',
    { class: 'access-row audit-row', 'data-action': record.action, 'data-result': record.result },
    badge,
    timeOf(record.time),
    // A name that somebody gave may be written from right to left: it turns nothing around it.
    h('span', { class: 'what' }, h('bdi', { class: 'name' }, record.user ?? '–'), h('span', { class: 'quiet' }, [whoText(record), record.address].filter(Boolean).join(' · '))),
    h('span', { class: 'what' }, h('strong', {}, actionText(record)), host_id && h('a', { href: hostPath(host_id) }, host_id), h('span', { title: (record.hosts ?? []).join(', ') }, hostsText(record)), host_id && run_id && h('a', { class: 'run-link', href: runPath(host_id, run_id) }, 'run')),
    h('bdi', { class: 'quiet detail' }, detailText(record)),
  );
}

customElements.define('sy-audit', AccessAudit);
