/** Sentences about runs and hosts. */

import { age, count, duration, plural } from './format.js';
import { commandLabel, exitCodeMeaning, phaseWord } from './words.js';
import { hostState } from './status.js';

/** @typedef {import('./types.js').Run} Run */
/** @typedef {import('./types.js').Host} Host */
/** @typedef {import('./clock.js').Clock} Clock */

/** `exit code 4: a unit failed to start, and the system is switched` @param {Run} run */
export function exitText(run) {
  if (run.exit_code == null) return 'no exit code';
  return `exit code ${run.exit_code}: ${exitCodeMeaning(run.exit_code)}`;
}

/** `generation 41 → 42`, or what is known of it. @param {Run} run */
export function generationText(run) {
  const { generation_before: before, generation_after: after } = run;
  if (before == null && after == null) return '';
  if (before != null && after != null) return before === after ? `generation ${after}, unchanged` : `generation ${before} → ${after}`;
  return `generation ${before ?? '?'} → ${after ?? '?'}`;
}

/** How a run ended, for the row of its host. @param {Run} run */
export function resultText(run) {
  const name = commandLabel(run.command);
  switch (run.status) {
    case 'ok':
      return [name, generationText(run)].filter(Boolean).join(' · ');
    case 'error':
      return `${name} · ${run.message?.trim() || exitText(run)}`;
    case 'stopped':
      return `${name} · ${run.message?.trim() || `stopped${run.phase ? ` while ${phaseWord(run.phase).toLowerCase()}` : ''}`}`;
    case 'lost':
      return `${name} · nobody saw how it ended`;
    case 'expired':
      return `${name} · the host did not come for it in time`;
    case 'rejected':
      return `${name} · ${run.message?.trim() || 'the host refused it'}`;
    default:
      return name;
  }
}

/** The line of a host that does not run anything. @param {Host} host @param {Clock} clock */
export function hostText(host, clock) {
  const run = host.run;
  const seen = host.last_seen ? `last heard ${age(clock.now() - Date.parse(host.last_seen))}` : 'never connected';
  switch (hostState(host)) {
    case 'queued':
      return host.online ? 'waits for the host to begin' : `waits for the host, ${seen}`;
    case 'lost':
      if (run?.status === 'running') return `${seen} · ${run.command} may go on there`;
      return run ? `${seen} · ${resultText(run)}` : seen;
    default:
      if (run) return resultText(run);
      return host.online ? 'no run yet' : seen;
  }
}

/** When a run ended and how long it took. @param {Run} run @param {Host | undefined} host @param {Clock} clock */
export function endText(run, host, clock) {
  const took = run.duration_ms != null ? `took ${duration(run.duration_ms)}` : '';
  const ended = run.completed ? age(clock.hostNow(host) - Date.parse(run.completed)) : '';
  return [ended, took].filter(Boolean).join(' · ');
}

/** @param {Run} run @param {number} held lines the browser knows of */
export function linesText(run, held) {
  const lines = Math.max(run.lines ?? 0, held);
  return run.errors ? `${plural(lines, 'line')} · ${count(run.errors)} on stderr` : plural(lines, 'line');
}
