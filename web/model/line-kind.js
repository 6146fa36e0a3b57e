/** Which lines are errors and warnings: by what they say, for nearly everything is on standard error. */

const ESCAPE = /\x1b\[[0-9;:]*m/g;
const ERROR = /^(?:\S+> )?(?:(?:fatal|panic|error)(?:\[[\w-]+\])?: |Failed to start |Pre-switch checks failed|✗ |FAIL(?:ED)?\b)/i;
const WARNING = /^(?:\S+> )?(?:warning|warn|evaluation warning|trace: warning): /i;

/** @param {string} line @returns {'error' | 'warning' | null} */
export function lineKind(line) {
  const start = line.length > 400 ? line.slice(0, 400) : line;
  const text = (start.includes('\x1b') ? start.replace(ESCAPE, '') : start).trimStart();
  if (/^warning: the following units failed/i.test(text) || ERROR.test(text)) return 'error';
  return WARNING.test(text) ? 'warning' : null;
}
