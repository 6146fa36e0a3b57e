/** The same failure on several hosts is one. */

import { hostState } from './status.js';
import { reasonText } from './summary.js';

/** @typedef {import('./types.js').Host} Host */
/** @typedef {{text: string, hosts: string[]}} Failure */

/** A run as it was told never changes, so its text is made once. @type {WeakMap<import('./types.js').Run, {hostname: string | null | undefined, text: string}>} */
const TEXTS = new WeakMap();

/**
 * What failed on at least two hosts, most hosts first.
 * @param {Iterable<Host>} hosts @param {(host: Host) => import('./types.js').Run | undefined} [details] the run of a host's deployment
 * @returns {Failure[]}
 */
export function commonFailures(hosts, details = ({ run }) => run ?? undefined) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const host of hosts) {
    if (hostState(host) !== 'failed' || host.conflict) continue;
    const text = failureText(host, details(host));
    if (!text) continue;
    const group = groups.get(text);
    if (group) group.push(host.id);
    else groups.set(text, [host.id]);
  }
  return [...groups]
    .filter(([, ids]) => ids.length > 1)
    .map(([text, ids]) => ({ text, hosts: ids.sort() }))
    .sort((a, b) => b.hosts.length - a.hosts.length || (a.text < b.text ? -1 : 1));
}

/** Without what differs from host to host though the failure is the same. @param {Host} host @param {import('./types.js').Run} [run] */
function failureText(host, run) {
  if (!run) return '';
  const { hostname } = host;
  const known = TEXTS.get(run);
  if (known && known.hostname === hostname) return known.text;
  const text = withoutNames(host, reasonText(run));
  TEXTS.set(run, { hostname, text });
  return text;
}

/** @param {Host} host @param {string} said */
function withoutNames(host, said) {
  for (const name of [host.id, host.hostname]) {
    if (name && name.length > 1) said = said.replaceAll(new RegExp(`(?<![\\w.-])${escape(name)}(?![\\w-])`, 'g'), 'HOST');
  }
  return said;
}

/** @param {string} text */
function escape(text) {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
