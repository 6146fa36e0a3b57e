/** Sentences about runs and hosts. */

import { stripAnsi } from './ansi.js';
import { age, clockDuration, count, duration, plural, shortRevision, untilText } from './format.js';
import { nextBootText, runningGeneration } from './systems.js';
import { commandLabel, exitCodeMeaning, phaseWord } from './words.js';
import { deploymentOf, hostState, isBusy, isDeploying, runBeside, runState, runWord } from './status.js';

/** @typedef {import('./types.js').Run} Run */
/** @typedef {import('./types.js').Host} Host */
/** @typedef {import('./types.js').Deployment} Deployment */
/** @typedef {import('./clock.js').Clock} Clock */

/** `Switched, but a unit failed to start (exit code 4)` @param {Run} run */
export function exitText(run) {
  if (run.tests?.result === 'error') {
    return `${run.tests.total - run.tests.passed} of the host's ${plural(run.tests.total, 'check')} failed (exit code ${run.exit_code})`;
  }
  const activated = (run.phases ?? []).some(({ phase }) => phase === 'activation' || phase === 'switch');
  return exitCodeMeaning(run.exit_code, activated, isDeploying(run.command));
}

/** `generation 41 → 42`, or what is known of it. @param {Run} run */
export function generationText(run) {
  const { generation_before: before, generation_after: after } = run;
  if (before == null && after == null) return '';
  if (before != null && after != null) return before === after ? `generation ${after}, unchanged` : `generation ${before} → ${after}`;
  return after == null ? `generation ${before}` : `now generation ${after}`;
}

/** Why a run failed, in a line: the most telling one of its cause, else the first of its message. @param {Run} run */
export function reasonText({ cause, message }) {
  return shortPaths(stripAnsi(firstLine(cause?.[0]?.summary || message || '')));
}

/** How a run ended, in a line. @param {Run} run */
export function resultText(run) {
  const reason = reasonText(run);
  switch (run.status) {
    case 'ok':
      return generationText(run) || 'Succeeded';
    case 'error':
      return reason || exitText(run);
    case 'rolled_back':
      return reason || 'Rolled back: the new system was not confirmed, the old one is running again';
    case 'stopped':
      return reason || `Stopped${run.phase ? ` while ${phaseWord(run.phase).toLowerCase()}` : ''}`;
    case 'lost':
      return 'Result unknown';
    case 'expired':
      return reason || 'Expired: the host did not connect in time';
    case 'rejected':
      return reason || 'The host refused the command';
    default:
      return '';
  }
}

/** Without the part of store paths that says nothing to a person: `…-nginx-1.29.3.drv` @param {string} text */
export function shortPaths(text) {
  return text.replace(/\/nix\/store\/[0-9a-z]{32}-/g, '…-');
}

/** @param {string} text */
export function firstLine(text) {
  return text.split('\n').find((line) => line.trim() !== '')?.trim() ?? '';
}

/** Under this a clock is right enough: the way of a message counts, too. */
const SKEW_MS = 5000;

/** `1 h ahead`, `12 s behind`; null while the host's clock is right. @param {Host} host @returns {string | null} */
export function skewText({ clock_skew_ms: skew }) {
  if (skew == null || Math.abs(skew) < SKEW_MS) return null;
  return `${duration(Math.abs(skew))} ${skew > 0 ? 'ahead' : 'behind'}`;
}

/** `No contact for 30 s`, `Never connected` @param {Host} host @param {Clock} clock */
export function contactText(host, clock) {
  if (!host.last_seen) return 'Never connected';
  const ago = age(clock.now() - Date.parse(host.last_seen));
  return ago === 'just now' ? 'Lost contact just now' : `No contact for ${ago.replace(' ago', '')}`;
}

/**
 * The line of a host that does not run anything: why it waits, failed or is out of contact, or what runs there.
 * @param {Host} host @param {Clock} clock @param {Run} [details] the run of its deployment, where that is known
 */
export function hostText(host, clock, details) {
  const { run } = host;
  if (host.conflict) return `${conflictText(host)}. Choose one on the host’s page.`;
  const deployment = deploymentOf(host);
  switch (hostState(host)) {
    case 'queued':
      return `Waiting for the host to ${host.online ? 'start' : 'connect'}${run?.expires ? ` (expires ${untilText(run.expires, clock.now())})` : ''}`;
    case 'lost':
      if (run?.status === 'running') return `${contactText(host, clock)} · ${commandLabel(run.command)} may still be running`;
      return host.online ? 'Result unknown' : contactText(host, clock);
    default:
      if (!deployment) return host.online ? (run ? 'No deployments yet' : 'No runs yet') : contactText(host, clock);
      return deployedText(deployment, run?.run_id === deployment.run_id ? run : details);
  }
}

/** @param {Deployment} deployment @param {Run} [run] the same, where more is known of it */
function deployedText(deployment, run) {
  if (run) return resultText(run);
  if (deployment.status !== 'ok') return `${commandLabel(deployment.command)} ${runWord(deployment)}`;
  return deployment.generation == null ? 'Succeeded' : `generation ${deployment.generation}`;
}

/** `2 machines use the token of web01` @param {Host} host */
export function conflictText({ id, conflict }) {
  return `${count(conflict?.machines.length ?? 0)} machines use the token of ${id}`;
}

/** Whether the time of its end is the dashboard's and not the host's: the host never had it, or refused it. @param {Run | Deployment} run */
function isEndedByDashboard(run) {
  return run.status === 'expired' || run.status === 'rejected' || ('host_id' in run && !run.started);
}

/** When and how long: `5 min ago · 1 min 15 s`. @param {Run | Deployment} run @param {Host} host @param {Clock} clock */
function whenText(run, host, clock) {
  const now = isEndedByDashboard(run) ? clock.now() : clock.hostNow(host);
  const ended = run.completed ? age(now - Date.parse(run.completed)) : '';
  const took = 'duration_ms' in run && run.duration_ms != null ? duration(run.duration_ms) : '';
  return [ended, took].filter(Boolean).join(' · ');
}

/** `Switch · 5 min ago · 1 min 15 s`, for a run that is over. @param {Run | Deployment} run @param {Host} host @param {Clock} clock */
export function endText(run, host, clock) {
  return [commandLabel(run.command), whenText(run, host, clock)].filter(Boolean).join(' · ');
}

/** `Pull, then Switch` @param {Run} run */
export function commandText({ command, then }) {
  return then ? `${commandLabel(command)}, then ${commandLabel(then)}` : commandLabel(command);
}

/**
 * What stands at the right of a host: its run while it goes on, its last run otherwise. `failed` where that run
 * failed and is not the deployment.
 * @param {Host} host @param {Clock} clock @returns {{text: string, failed: boolean, reason: string}}
 */
export function lastText(host, clock) {
  const { run } = host;
  if (!run) return { text: '', failed: false, reason: '' };
  if (isBusy(run)) {
    const ms = clock.elapsed(run, host);
    return { text: ms == null ? commandText(run) : `${clockDuration(ms)} · ${commandText(run)}`, failed: false, reason: '' };
  }
  const beside = runBeside(host);
  const failed = beside !== null && runState(beside) === 'failed';
  const word = beside ? ` ${runWord(beside)}` : '';
  return { text: `${commandLabel(run.command)}${word} · ${whenText({ ...run, duration_ms: null }, host, clock)}`.replace(/ · $/, ''), failed, reason: failed ? resultText(beside) : '' };
}

/** What runs there: `d3adbeef · 3 behind · reboot needed · gen 41` @param {Host} host */
export function revisionText(host) {
  const skew = skewText(host);
  const deployment = deploymentOf(host);
  const [generation, next] = [runningGeneration(host), nextBootText(host)];
  const revision = deployment?.status === 'ok' ? deployment.revision : host.revision;
  const parts = [
    revision && shortRevision(revision),
    host.behind && `${host.behind} behind`,
    host.reboot_required && 'reboot needed',
    generation != null && `gen ${generation}`,
    next && `${next.replace('generation', 'gen')} at next boot`,
    skew && `clock ${skew}`,
  ].filter(Boolean);
  return parts.join(' · ') || (host.last_seen ? '' : 'never connected');
}

/**
 * `50 of 100 lines are missing`: a log that was cut has fewer lines than its run had. Empty where none are.
 * @param {Run} run @param {number} stored lines in its log
 */
export function missingText(run, stored) {
  const all = run.lines ?? 0;
  if (isBusy(run) || stored >= all) return '';
  return `${count(all - stored)} of ${plural(all, 'line')} ${all - stored === 1 ? 'is' : 'are'} missing`;
}

/** @param {Run} run @param {number} held lines the browser knows of */
export function linesText(run, held) {
  return plural(Math.max(run.lines ?? 0, held), 'line');
}
