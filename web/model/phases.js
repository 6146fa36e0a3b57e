/** The phases of a run with how long each took. */

import { phaseGlyph, phaseWord } from './words.js';

/** @typedef {import('./types.js').Run} Run */
/** @typedef {{phase: string, glyph: string, word: string, seq: number, ms: number, current: boolean, failed: boolean}} PhaseRow */

/** @param {Run} run @param {number} now the host's clock, ms @returns {PhaseRow[]} */
export function phaseRows(run, now) {
  const marks = run.phases ?? [];
  const running = run.status === 'running';
  const end = run.completed ? Date.parse(run.completed) : now;
  return marks.map((mark, i) => {
    const next = marks[i + 1];
    const last = !next;
    return {
      phase: mark.phase,
      glyph: phaseGlyph(mark.phase),
      word: phaseWord(mark.phase),
      seq: mark.seq,
      ms: Math.max(0, (next ? Date.parse(next.started) : end) - Date.parse(mark.started)),
      current: last && running,
      failed: last && run.status === 'error',
    };
  });
}
