/** How long runs took, for a small chart. */

/** @typedef {import('./types.js').Run} Run */
/** @typedef {{run: Run, ms: number, height: number}} Bar heights are parts of the highest, 0 to 1 */

const MAX_BARS = 60;

/** The command with the most runs that took a time. @param {Run[]} runs @returns {string | null} */
export function usualCommand(runs) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const run of runs) if (run.duration_ms != null) counts.set(run.command, (counts.get(run.command) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

/** The latest runs of a command, oldest first. @param {Run[]} runs newest first @param {string} command @returns {Bar[]} */
export function bars(runs, command) {
  const shown = runs.filter((run) => run.command === command && run.duration_ms != null).slice(0, MAX_BARS).reverse();
  const longest = Math.max(1, ...shown.map((run) => run.duration_ms ?? 0));
  return shown.map((run) => ({ run, ms: run.duration_ms ?? 0, height: (run.duration_ms ?? 0) / longest }));
}

/** The middle one of those that went well: a failed run says nothing about how long it takes. @param {Bar[]} all @returns {number | null} ms */
export function median(all) {
  const sorted = all.filter(({ run }) => run.status === 'ok').map(({ ms }) => ms).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const half = sorted.length >> 1;
  const [low, high] = [sorted[sorted.length % 2 ? half : half - 1] ?? 0, sorted[half] ?? 0];
  return (low + high) / 2;
}
