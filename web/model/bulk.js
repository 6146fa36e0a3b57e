/** What became of a command for several hosts, host by host. */

import { hostState, isBusy, runState, runWord, STATES } from './status.js';
import { resultText } from './summary.js';
import { phaseText } from './words.js';

/** @typedef {import('./fleet.js').Fleet} Fleet */
/** @typedef {import('./status.js').State} State */
/** @typedef {{host_id: string, status: number | string, run_id?: string | null, detail?: string | null}} Answer */
/** @typedef {{host: string, run: string | null, state: State, word: string, text: string}} Result */

/** @type {State[]} */
const ORDER = ['failed', 'lost', 'stopped', 'queued', 'running', 'ok', 'idle'];

/** As it is now: what needs somebody first. @param {Answer[]} answers @param {Fleet} fleet @returns {Result[]} */
export function bulkResults(answers, fleet) {
  const results = answers.map((answer) => result(answer, fleet));
  return results.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (a.host < b.host ? -1 : 1));
}

/** `3 refused · 2 failed · 30 running · 5 ok` @param {Result[]} results */
export function bulkSummary(results) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { word } of results) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, n]) => `${n} ${word}`).join(' · ');
}

/** @param {Answer} answer @param {Fleet} fleet @returns {Result} */
function result({ host_id: host, run_id, status, detail }, fleet) {
  if (!run_id) return { host, run: null, state: 'failed', word: 'refused', text: detail ?? `status ${status}` };
  const about = fleet.hosts.get(host);
  // What was started behind it is what became of it.
  const run = about?.run?.after === run_id ? about.run : fleet.findRun(host, run_id);
  if (!run) return { host, run: run_id, state: 'queued', word: 'requested', text: '' };
  const lost = run.status === 'running' && about !== undefined && hostState(about) === 'lost';
  const state = lost ? 'lost' : runState(run);
  const text = run.status === 'running' ? (phaseText(run) ?? '') : isBusy(run) ? (about?.online ? '' : 'Waiting for the host to connect') : resultText(run);
  return { host, run: run.run_id, state, word: lost ? STATES.lost.word : runWord(run), text };
}
