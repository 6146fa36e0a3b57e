/** Who may come in: identities, tokens and sessions, in words. */

import { age, dateTime } from './format.js';

/**
 * @typedef {import('./status.js').State} State
 * @typedef {'viewer' | 'operator' | 'admin'} Role
 *
 * @typedef {object} Me
 * @property {string} name
 * @property {Role} role
 * @property {string} via
 * @property {string} hosts
 * @property {string | null} expires
 *
 * @typedef {object} Token
 * @property {string} id
 * @property {'agent' | 'api' | 'enrolment'} kind
 * @property {string} [host_id] of `agent`
 * @property {string} [name] of `api`
 * @property {Role} [role] of `api`
 * @property {string} [hosts] of `api` and `enrolment`
 * @property {string | null} expires
 * @property {boolean} in_file
 * @property {string | null} created
 * @property {string | null} created_by
 * @property {string | null} revoked
 * @property {string | null} revoked_by
 * @property {boolean} connected
 * @property {string | null} last_used
 * @property {boolean} [maker_gone] whether it is not good because its maker may make none today
 *
 * @typedef {{id: string, user: string, created: string, seen: string, address: string | null, current: boolean}} Session
 */

/** Whether they may see and change who comes in: that is about every host. @param {Me} me */
export function mayManage(me) {
  return me.role === 'admin' && me.hosts === '*';
}

/** @param {string | undefined} hosts as patterns */
export function hostsText(hosts) {
  return !hosts || hosts === '*' ? 'every host' : hosts.replaceAll(',', ', ');
}

/** @type {Record<string, string>} */
const ROLES = {
  viewer: 'You may look, and not act.',
  operator: 'You may look and run commands.',
  admin: 'You may look and run commands.',
};

/** What they may do, and why there is no more to see. @param {Me} me */
export function roleText(me) {
  if (mayManage(me)) return 'You may look, run commands, and decide who comes in.';
  const why = me.role === 'admin' ? `you are an admin of ${hostsText(me.hosts)} alone` : `your role is ${me.role}`;
  return `${ROLES[me.role] ?? ''} Tokens, the sessions of others and the audit log are for admins of every host, and ${why}. Whoever keeps the dashboard’s users file can change that.`;
}

/** @type {Record<string, string>} */
const WAYS = {
  session: 'a password',
  token: 'an API token',
  proxy: 'the proxy',
  socket: 'the socket in the data folder',
  open: 'nothing: there are no users',
};

/** How somebody came in. @param {string} via */
export function viaText(via) {
  return WAYS[via] ?? via;
}

/** Whether they have a password to be asked for again, before what a stolen session must not do. @param {Me} me */
export function hasPassword(me) {
  return me.via === 'session';
}

/** @param {Token} token @param {number} now ms */
export function isValid(token, now) {
  return token.revoked === null && !token.maker_gone && !(token.expires !== null && Date.parse(token.expires) <= now);
}

/** @param {Token} token @param {number} now ms @returns {{state: State, word: string}} */
export function tokenState(token, now) {
  if (token.revoked !== null) return { state: 'stopped', word: isUsedUp(token) ? 'used' : 'revoked' };
  if (token.maker_gone) return { state: 'failed', word: 'maker gone' };
  if (!isValid(token, now)) return { state: 'failed', word: 'expired' };
  if (token.connected) return { state: 'ok', word: 'in use' };
  return { state: 'idle', word: 'valid' };
}

/** An enrolment secret that did what it was for. @param {Token} token */
function isUsedUp(token) {
  return token.kind === 'enrolment' && (token.revoked_by?.startsWith('its use by ') ?? false);
}

/** What it is for, in short. @param {Token} token */
export function tokenName(token) {
  if (token.kind === 'agent') return token.host_id ?? '';
  return token.kind === 'api' ? (token.name ?? '') : hostsText(token.hosts);
}

/** What comes behind the name. @param {Token} token */
export function tokenText(token) {
  if (token.kind === 'agent') return 'host';
  return token.kind === 'api' ? `API, ${token.role} of ${hostsText(token.hosts)}` : 'enrolment of one host';
}

/** Who made it and when. @param {Token} token */
export function madeText(token) {
  if (token.in_file) return 'from the file';
  const made = `${token.created ? dateTime(token.created) : ''} by ${token.created_by ?? 'nobody known'}`;
  return token.maker_gone ? `${made}, who may make no tokens any more` : made;
}

/** What became of it, or was done with it. @param {Token} token @param {number} now ms */
export function useText(token, now) {
  if (token.revoked !== null) return `${dateTime(token.revoked)} by ${token.revoked_by ?? 'nobody known'}`;
  if (token.connected) return 'connected now';
  return token.last_used === null ? 'not used' : `used ${age(now - Date.parse(token.last_used))}`;
}

/** @param {Token} token @param {number} now ms */
export function expiryText(token, now) {
  if (token.kind === 'agent') return 'lasts until revoked';
  if (token.expires === null) return 'never expires';
  const left = Date.parse(token.expires) - now;
  const days = Math.floor(left / 86_400_000);
  if (left <= 0) return `expired ${dateTime(token.expires)}`;
  return days > 1 ? `expires in ${days} d` : `expires ${dateTime(token.expires)}`;
}

/** The tokens that let this one's host in, itself among them. @param {Token} token @param {Token[]} all @param {number} now ms */
export function validOf(token, all, now) {
  return all.filter((other) => other.kind === 'agent' && other.host_id === token.host_id && isValid(other, now));
}

/** Those of the files have no time and count as older. @param {Token} a @param {Token} b */
function isNewer(a, b) {
  return Date.parse(a.created ?? '1970-01-01') > Date.parse(b.created ?? '1970-01-01');
}

/**
 * What to do next while a host has two tokens; empty where there is nothing to do. `urgent` where the old one has
 * done its work.
 * @param {Token} token @param {Token[]} all @param {number} now ms @returns {{text: string, urgent: boolean}}
 */
export function rotation(token, all, now) {
  const nothing = { text: '', urgent: false };
  if (token.kind !== 'agent' || !isValid(token, now)) return nothing;
  const other = validOf(token, all, now).find((one) => one.id !== token.id);
  if (!other) return nothing;
  const host = token.host_id;
  const newer = isNewer(token, other);
  if (other.connected && !token.connected) {
    if (newer) return { text: `${host} still uses its other token. Put this one into its token file and restart its agent.`, urgent: false };
    return { text: `${host} uses its other token now. Revoke this one.`, urgent: true };
  }
  if (token.connected && !other.connected) {
    return newer ? nothing : { text: `${host} still uses this one. Keep it until the other is in use.`, urgent: false };
  }
  if (token.connected) return nothing;
  return { text: newer ? '' : `${host} is not connected. Keep this one until the other is in use.`, urgent: false };
}

/** Hosts, then enrolment, then the API; by name; the old one before the new. @param {Token} a @param {Token} b */
export function compareTokens(a, b) {
  const kinds = ['agent', 'enrolment', 'api'];
  return (
    kinds.indexOf(a.kind) - kinds.indexOf(b.kind) ||
    tokenName(a).localeCompare(tokenName(b), 'en', { numeric: true }) ||
    Date.parse(a.created ?? '1970-01-01') - Date.parse(b.created ?? '1970-01-01') ||
    a.id.localeCompare(b.id)
  );
}

/**
 * What revoking will do, to be asked before.
 * @param {Token} token @param {Token[]} all @param {number} now ms
 */
export function revokeQuestion(token, all, now) {
  const name = tokenName(token);
  const text = [];
  let title = `Revoke the API token of ${name}?`;
  if (token.kind === 'agent') {
    const others = validOf(token, all, now).filter((other) => other.id !== token.id);
    title = `Revoke this token of ${name}?`;
    text.push(
      token.connected
        ? `${name} is connected by it, and that connection closes at once. A run that is going on there goes on; its lines come when ${name} is back.`
        : `${name} is not connected by it. Nothing that is going on is cut off.`,
      others.length > 0
        ? `${name} has another token${others.some((other) => other.connected) ? ', and is connected by that one' : ', and can come back only with that one'}.`
        : `It is the only one: ${name} is shut out until it has a new one.`,
    );
  } else if (token.kind === 'api') {
    text.push('Whoever uses the API with it is out at once, and connections that it opened close.');
  } else {
    title = `Revoke the enrolment secret for ${name}?`;
    text.push('No host can enrol with it any more. Hosts that did have tokens of their own, and keep them.');
  }
  if (token.in_file) text.push('It stands in a file. It stays revoked although it does; take its line out as well.');
  else text.push('A revoked token never becomes valid again.');
  return { title, text, yes: 'Revoke', no: 'Keep it' };
}
