/** What is shown before a command goes to several hosts: which of them, and what changes on each. */

import { plural, shortRevision } from './format.js';
import { deploymentOf, isBusy } from './status.js';
import { commandHelp, commandsLabel, commandsVerb, isDeploy } from './words.js';

/** @typedef {import('./types.js').Host} Host */
/** @typedef {{host: string, change: string, note: string}} Item */
/** @typedef {{title: string, note: string, sent: boolean, items: Item[]}} Group */

/** `Switch 25 hosts?`, `Switch 23 of 25 hosts?`, `Rollback on web01?` @param {string[]} commands @param {string[]} hosts @param {number} sent to how many */
export function sheetTitle(commands, hosts, sent) {
  const verb = commandsVerb(commands);
  if (sent < hosts.length && hosts.length > 1) return `${verb} ${sent} of ${plural(hosts.length, 'host')}?`;
  return hosts.length === 1 ? `${commandsLabel(commands)} on ${hosts[0]}?` : `${verb} ${plural(hosts.length, 'host')}?`;
}

/** @param {string[]} commands */
export function sheetText(commands) {
  const help = isDeploy(commands) ? commandHelp('deploy') : commands.map(commandHelp).join('. Then: ');
  return `${help}.`.replaceAll('..', '.');
}

/**
 * The hosts by what becomes of the commands there; only groups with `sent` get them.
 * @param {Host[]} hosts @param {string[]} commands one after the other @returns {Group[]}
 */
export function sheetGroups(hosts, commands) {
  const [busy, free] = split(hosts, ({ run }) => isBusy(run));
  const [refused, able] = split(free, (host) => !offers(host, commands));
  const [offline, here] = split(able, ({ online }) => !online);
  const [reboot, ready] = split(here, ({ reboot_required }) => Boolean(reboot_required));
  /** @type {[string, string, boolean, Host[]][]} */
  const groups = [
    ['Ready', '', true, ready],
    ['Reboot needed', 'They need a reboot to finish an earlier change.', true, reboot],
    ['Offline', 'They get the command if they connect within an hour.', true, offline],
    ['Busy', 'Left out: something is running or queued there.', false, busy],
    ['Not offered', `Left out: these hosts do not offer ${commandsLabel(commands)}.`, false, refused],
  ];
  return groups.filter((group) => group[3].length > 0).map(([title, note, sent, all]) => ({ title, note, sent, items: all.map((host) => item(host, commands)) }));
}

/** @param {Host} host @param {string[]} needed */
function offers({ commands }, needed) {
  return !commands?.length || needed.every((name) => commands.includes(name));
}

/** @param {Host} host @param {string[]} commands @returns {Item} */
function item(host, commands) {
  const deployment = deploymentOf(host);
  const now = deployment?.revision;
  const from = now ? shortRevision(now) : '';
  const to = host.revision ? shortRevision(host.revision) : '';
  const generation = host.generation == null ? '' : `generation ${host.generation}`;
  const note = host.behind ? `${host.behind} behind` : '';
  const known = from || generation || (deployment ? 'unknown' : 'never deployed');
  if (commands.includes('rollback')) return { host: host.id, change: `${generation || 'generation unknown'} → previous`, note: from };
  // What is pulled there is not older than what is there.
  if (commands[0] === 'pull') return { host: host.id, change: `${known} → ${deployment || !to ? 'newest' : `${to} or newer`}`, note };
  if (!to) return { host: host.id, change: 'revision unknown', note };
  return { host: host.id, change: from === to ? `${to}, unchanged` : known === 'unknown' ? to : `${known} → ${to}`, note };
}

/** @template T @param {T[]} all @param {(one: T) => boolean} is @returns {[T[], T[]]} */
function split(all, is) {
  return [all.filter(is), all.filter((one) => !is(one))];
}
