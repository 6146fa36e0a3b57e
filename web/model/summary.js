/** Sentences about runs and hosts. */

import { age, count, duration, plural, timeOfDay } from './format.js';
import { commandLabel, exitCodeMeaning, phaseText, phaseWord } from './words.js';
import { hostState, runWord } from './status.js';

/** @typedef {import('./types.js').Run} Run */
/** @typedef {import('./types.js').Host} Host */
/** @typedef {import('./clock.js').Clock} Clock */

/** `exit code 4: a unit failed to start, and the system is switched` @param {Run} run */
export function exitText(run) {
  if (run.exit_code == null) return 'no exit code';
  if (run.tests?.result === 'error') {
    return `exit code ${run.exit_code}: ${run.tests.total - run.tests.passed} of the host's ${plural(run.tests.total, 'check')} failed`;
  }
  const activated = (run.phases ?? []).some(({ phase }) => phase === 'activation' || phase === 'switch');
  return `exit code ${run.exit_code}: ${exitCodeMeaning(run.exit_code, activated)}`;
}

/** `generation 41 → 42`, or what is known of it. @param {Run} run */
export function generationText(run) {
  const { generation_before: before, generation_after: after } = run;
  if (before == null && after == null) return '';
  if (before != null && after != null) return before === after ? `generation ${after}, unchanged` : `generation ${before} → ${after}`;
  return after == null ? `generation ${before}` : `now generation ${after}`;
}

/** How a run ended, in a line. @param {Run} run */
export function resultText(run) {
  const message = shortPaths(firstLine(run.message ?? ''));
  switch (run.status) {
    case 'ok':
      return generationText(run) || 'everything went well';
    case 'error':
      return message || exitText(run);
    case 'stopped':
      return message || `stopped${run.phase ? ` while ${phaseWord(run.phase).toLowerCase()}` : ''}`;
    case 'lost':
      return 'nobody saw how it ended';
    case 'expired':
      return 'the host did not come for it in time';
    case 'rejected':
      return message || 'the host refused it';
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

/**
 * The line of a host that does not run anything.
 * @param {Host} host @param {Clock} clock
 */
export function hostText(host, clock) {
  const run = host.run;
  const seen = host.last_seen ? `last heard ${age(clock.now() - Date.parse(host.last_seen))}` : 'never connected';
  switch (hostState(host)) {
    case 'queued':
      return (host.online ? 'waits for the host to begin' : `waits for the host, ${seen}`) + (run?.expires ? `, until ${timeOfDay(new Date(run.expires)).slice(0, 5)}` : '');
    case 'lost':
      if (run?.status === 'running') return `${seen} · ${run.command} may go on there`;
      return run?.status === 'lost' && host.online ? resultText(run) : seen;
    default:
      if (run) return resultText(run);
      return host.online ? 'no run yet' : seen;
  }
}

/** `Switch · 5 min ago · took 1 min 15 s`, for a run that does not go on. @param {Run} run @param {Host} host @param {Clock} clock */
export function endText(run, host, clock) {
  const name = commandLabel(run.command);
  if (run.status === 'queued') return run.requested_by ? `${name} · asked for by ${run.requested_by}` : name;
  const outcome = hostState(host) === 'lost' && run.status !== 'lost' ? `${name} ${runWord(run)}` : name;
  if (run.status === 'running') return [name, phaseText(run)].filter(Boolean).join(' · ');
  const took = run.duration_ms != null ? `took ${duration(run.duration_ms)}` : '';
  const ended = run.completed ? age(clock.hostNow(host) - Date.parse(run.completed)) : '';
  return [outcome, ended, took].filter(Boolean).join(' · ');
}

/** @param {Run} run @param {number} held lines the browser knows of */
export function linesText(run, held) {
  const lines = Math.max(run.lines ?? 0, held);
  return run.errors ? `${plural(lines, 'line')} · ${count(run.errors)} on stderr` : plural(lines, 'line');
}
