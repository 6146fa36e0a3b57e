/** The records of who did what, in words. */

import { commandLabel } from './words.js';

/**
 * @typedef {object} Audited
 * @property {string} time
 * @property {string | null} user
 * @property {string | null} role
 * @property {string | null} via
 * @property {string | null} address
 * @property {string} action
 * @property {string | null} host_id
 * @property {string | null} run_id
 * @property {string | null} command
 * @property {string} result
 * @property {string | null} detail
 * @property {string[]} [hosts] those of a request for several
 * @property {number} [left_out]
 *
 * @typedef {{host: string, user: string, action: string, result: string}} Filter
 */

/** Every action, as the dashboard and as a person calls it. @type {Record<string, string>} */
export const ACTIONS = {
  login: 'Sign in',
  logout: 'Sign out',
  logout_all: 'Sign out everywhere',
  command: 'Command',
  stop: 'Stop',
  end_session: 'End sessions',
  issue_token: 'Create a token',
  revoke_token: 'Revoke a token',
  enrol: 'Enrol a host',
  conflict: 'Two machines with one token',
  choose_machine: 'Choose a machine',
  database_anew: 'New database',
  request: 'Request',
};

/** @param {Audited} record */
export function actionText({ action, command }) {
  if (action === 'command' && command) return commandLabel(command);
  return ACTIONS[action] ?? action;
}

/** @param {Audited} record @returns {{state: import('./status.js').State, word: string}} */
export function auditState({ action, result }) {
  if (result === 'ok') return { state: 'ok', word: 'ok' };
  return { state: 'failed', word: action === 'login' ? 'failed' : result };
}

/** Who, and how they came in. @param {Audited} record */
export function whoText({ user, role, via, action, result }) {
  if (!role && action === 'login') return result === 'ok' ? '' : user ? 'unverified name' : 'unknown user';
  if (!role) return action === 'enrol' ? 'the host itself' : 'unknown';
  return via && via !== 'session' ? `${role}, with ${via}` : role;
}

/** The hosts of a request for several. @param {Audited} record */
export function hostsText({ hosts = [] }) {
  if (hosts.length === 0) return '';
  return hosts.length === 1 ? hosts[0] : `${hosts.length} hosts`;
}

/** Reasons, and what was left out before it. @param {Audited} record */
export function detailText({ detail, left_out }) {
  const rest = left_out ? `${left_out} more failed attempts were counted, not listed` : '';
  return [detail, rest].filter(Boolean).join(' · ');
}

const FIELDS = /** @type {const} */ (['host', 'user', 'action', 'result']);

/** @param {string} search of an address @returns {Filter} */
export function parseFilter(search) {
  const query = new URLSearchParams(search);
  const [host = '', user = '', action = '', result = ''] = FIELDS.map((field) => query.get(field) ?? '');
  return { host, user, action: Object.hasOwn(ACTIONS, action) ? action : '', result: result === 'ok' || result === 'refused' ? result : '' };
}

/** `&host=web&result=refused` @param {Filter} filter */
export function formatFilter(filter) {
  return FIELDS.map((field) => (filter[field] ? `&${field}=${encodeURIComponent(filter[field])}` : '')).join('');
}
