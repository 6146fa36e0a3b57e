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
  viewer: 'Your role is viewer: you can see hosts, runs and logs, but not start runs.',
  operator: 'Your role is operator: you can see hosts, runs and logs, and start runs.',
  admin: 'Your role is admin: you can see hosts, runs and logs, and start runs.',
};

/** What they may do, and why there is no more to see. @param {Me} me */
export function roleText(me) {
  if (mayManage(me)) return 'Your role is admin: you can see hosts, runs and logs, start runs and manage access.';
  const why = me.role === 'admin' ? ` You are an admin of ${hostsText(me.hosts)} only.` : '';
  return `${ROLES[me.role] ?? ''} Only admins of every host see tokens, the sessions of others and the audit log.${why} To change this, ask the person who manages the users file.`;
}

/** @type {Record<string, string>} */
const WAYS = {
  session: 'password',
  token: 'API token',
  proxy: 'the proxy’s sign-in',
  socket: 'the socket in the data folder',
  open: 'no sign-in (no users are set up)',
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
  if (token.maker_gone) return { state: 'failed', word: 'not valid' };
  if (!isValid(token, now)) return { state: 'failed', word: 'expired' };
  if (token.connected) return { state: 'ok', word: 'connected' };
  return { state: 'idle', word: 'valid' };
}

/** Beginning of `revoked_by` of an enrolment secret that was used; the name of the host follows. */
const USED_BY = 'its use by ';

/** An enrolment secret that did what it was for. @param {Token} token */
function isUsedUp(token) {
  return token.kind === 'enrolment' && (token.revoked_by?.startsWith(USED_BY) ?? false);
}

/** Who revoked it, or the host that used it up. @param {Token} token */
function revoker(token) {
  const by = token.revoked_by ?? 'unknown';
  return isUsedUp(token) ? by.slice(USED_BY.length) : by;
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
  if (token.in_file) return 'from agents file';
  const made = `${token.created ? dateTime(token.created) : ''} by ${token.created_by ?? 'unknown'}`;
  return token.maker_gone ? `${made}, who may no longer create tokens` : made;
}

/** What became of it, or was done with it. @param {Token} token @param {number} now ms */
export function useText(token, now) {
  if (token.revoked !== null) return `${dateTime(token.revoked)} by ${revoker(token)}`;
  if (token.connected) return 'used now';
  return token.last_used === null ? 'not used since restart' : `used ${age(now - Date.parse(token.last_used))}`;
}

/** @param {Token} token @param {number} now ms */
export function expiryText(token, now) {
  if (token.kind === 'agent') return 'no expiry';
  if (token.expires === null) return 'no expiry';
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
    if (newer) return { text: `${host} still uses its other token. Put this token into its token file, then restart its agent.`, urgent: false };
    return { text: `${host} now uses its other token. Revoke this one.`, urgent: true };
  }
  if (token.connected && !other.connected) {
    return newer ? nothing : { text: `${host} still uses this token. Keep it until the other one is connected.`, urgent: false };
  }
  if (token.connected) return nothing;
  return { text: newer ? '' : `${host} is not connected. Keep this token until the other one is connected.`, urgent: false };
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
        ? `${name} is connected with it and is disconnected immediately. A run there continues; its output arrives when ${name} is back.`
        : `${name} is not connected with it. Nothing is interrupted.`,
      others.length > 0
        ? `${name} has another token${others.some((other) => other.connected) ? ' and is connected with that one' : ' and can connect only with that one'}.`
        : `It is the only one: ${name} cannot connect until it has a new token.`,
    );
  } else if (token.kind === 'api') {
    text.push('Programs that use it are refused immediately, and their connections are closed.');
  } else {
    title = `Revoke the enrolment secret for ${name}?`;
    text.push('No host can enrol with it any more. Hosts that already enrolled keep their own tokens.');
  }
  if (token.in_file) text.push('It is also in the agents file. It stays revoked, but remove the line there too.');
  else text.push('This cannot be undone.');
  return { title, text, yes: 'Revoke', no: 'Keep it' };
}
