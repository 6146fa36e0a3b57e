/** Which lines are errors and warnings: by what they say, for nearly everything is on standard error. */

const ESCAPE = /\x1b\[[0-9;:]*m/g;

/** Understood by the browser's expressions and by the dashboard's search alike. */
const ERRORS = String.raw`^\s*(?:(?:[^\s>]+> )?(?:(?:fatal|panic|error)(?:\[[\w-]+\])?: |Failed to start |Pre-switch checks failed|✗ |FAIL(?:ED)?\b)|warning: the following units failed)`;
const ERROR = new RegExp(ERRORS, 'i');
const WARNING = /^\s*(?:[^\s>]+> )?(?:warning|warn|evaluation warning|trace: warning): /i;

/** Finds the lines that are errors. @type {import('./find.js').Query} */
export const ERROR_QUERY = { text: ERRORS, regex: true, matchCase: false };

/** @param {string} line @returns {'error' | 'warning' | null} */
export function lineKind(line) {
  const start = line.length > 400 ? line.slice(0, 400) : line;
  const text = start.includes('\x1b') ? start.replace(ESCAPE, '') : start;
  if (ERROR.test(text)) return 'error';
  return WARNING.test(text) ? 'warning' : null;
}
