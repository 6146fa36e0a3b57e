/** Which lines of a log are errors and warnings, by what they say; for runs that do not tell their cause. */

import { stripAnsi } from './ansi.js';

/** No longer part of a line is looked at here; the dashboard looks at whole lines. */
const MAX_CHARS = 4000;

/** How single tools say that something failed. The dashboard takes 1,000 bytes, and upper case differs from lower. */
const TOOLS = [
  // error: alone, or after a file with its line or the name of a program: gcc, ld, ghc, meson, cargo, nix, configure
  String.raw`^\s*(\S+> )?(\S+: |\S+\(\)[\w ]* in .{1,60}: )?((internal compiler|fatal|evaluation) )*(error|Error|ERROR|fatal|panic)(\[\w+\])?:( [^0]|$)`,
  // npm, exceptions and failed tests of Python, node, Java, Go and Rust
  String.raw`^\s*(\S+> )?(E   )?(npm (ERR!|error) |[a-zA-Z_.]+(Error|Exception)(:|$)|Traceback \(|Exception in |(--- )?FAIL(ED)?:?\s+\S|\[ERROR\]|thread '.*panicked|test result: FAILED|✗ \D|× \S)`,
  // make, ninja, cmake, ld, go
  String.raw`\*\*\* .*(Error \d+|No rule|[Ss]top)|^(\S+> )?(ninja: |CMake Error)|errors occurred!|undefined reference|\.go:\d+:\d+: `,
  // patch, shells, the kernel, systemd, switch-to-configuration
  String.raw`hunks? FAILED|Hunk #\d+ FAILED|command not found|: (No such file or directory|Permission denied|No space left on device|Cannot allocate memory)`,
  String.raw`Segmentation fault|[Oo]ut of memory|oom-kill|^(\S+> )?Killed|Failed (to|with)|[Jj]ob .{1,80} failed|\(\) .{1,80}failed|/FAILURE|units failed: |(snippet|check) '.*' failed|checks failed`,
];

const ERRORS = TOOLS.join('|');
const ERROR = new RegExp(ERRORS);
const WARNING = /^\s*(?:[^\s>]+> )?(?:warning|warn|evaluation warning|trace: warning): /i;

/** Finds the lines that are errors. @type {import('./find.js').Query} */
export const ERROR_QUERY = { text: ERRORS, regex: true, matchCase: true };

/** @param {string} line @returns {'error' | 'warning' | null} */
export function lineKind(line) {
  const text = stripAnsi(line.slice(0, MAX_CHARS));
  if (ERROR.test(text)) return 'error';
  return WARNING.test(text) ? 'warning' : null;
}
