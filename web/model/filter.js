/** Which hosts a filter shows: words that are on screen, and terms such as `state:failed error:nginx behind reboot`. */

import { deploymentOf, hostState, hostWord, runBeside } from './status.js';
import { hostText, lastText, reasonText, revisionText } from './summary.js';
import { phaseText } from './words.js';

/** @typedef {import('./types.js').Host} Host */
/** @typedef {import('./types.js').Run} Run */
/** @typedef {import('./clock.js').Clock} Clock */

/**
 * @param {string} filter every word of it must match @param {Clock} clock
 * @param {(host: Host) => Run | undefined} details the run of a host's deployment
 * @returns {(host: Host) => boolean}
 */
export function hostFilter(filter, clock, details) {
  const terms = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return (host) => {
    /** @type {string | null} */
    let text = null;
    return terms.every((term) => special(term, host, details) ?? (text ??= screenText(host, clock, details(host))).includes(term));
  };
}

/** Null for a term that is a word. @param {string} term @param {Host} host @param {(host: Host) => Run | undefined} details */
function special(term, host, details) {
  const [, key, value = ''] = term.match(/^(state|error):(.*)$/) ?? [];
  if (key === 'state') return stateWords(host).some((word) => word.startsWith(value));
  if (key === 'error') return value === '' ? hostState(host) === 'failed' : errorText(host, details(host)).includes(value);
  if (term === 'behind') return Boolean(host.behind) || host.id.includes(term);
  if (term === 'reboot') return Boolean(host.reboot_required) || host.id.includes(term);
  return null;
}

/** @param {Host} host */
function stateWords(host) {
  return [hostState(host), hostWord(host), host.online ? 'online' : 'offline'];
}

/** What failed there: of the deployment, and of the last run. @param {Host} host @param {Run} [details] */
function errorText(host, details) {
  const runs = [host.run, details].filter((run) => run != null && (run.status !== 'ok' && run.status !== 'running' && run.status !== 'queued'));
  return runs.map((run) => (run ? `${reasonText(run)} ${run.message ?? ''}` : '')).join(' ').toLowerCase();
}

/** @param {Host} host @param {Clock} clock @param {Run} [details] */
function screenText(host, clock, details) {
  const last = lastText(host, clock);
  const running = hostState(host) === 'running' && host.run;
  return [
    host.id, hostWord(host), host.revision, revisionText(host), host.os_version, deploymentOf(host)?.revision,
    running ? phaseText(running) : hostText(host, clock, details), last.text, last.reason, runBeside(host)?.command,
  ].filter(Boolean).join(' ').toLowerCase();
}
