/** Words for commands, phases and exit codes. */

/** @typedef {import('./types.js').Run} Run */

/** @type {Record<string, {label: string, doing: string, help: string}>} */
const COMMANDS = {
  pull: { label: 'Pull', doing: 'Pulling…', help: 'Fetch the configuration from its repository' },
  switch: { label: 'Switch', doing: 'Switching…', help: 'Build the configuration and switch to it' },
  test: { label: 'Test', doing: 'Testing…', help: 'Activate without a boot entry, then run the checks of the host' },
  update: { label: 'Update', doing: 'Updating…', help: 'Update the inputs of the flake; the next pull undoes it' },
  boot: { label: 'Boot', doing: 'Building…', help: 'Build, and use it from the next boot on' },
  build: { label: 'Build', doing: 'Building…', help: 'Build only; nothing changes on the host' },
  rollback: { label: 'Rollback', doing: 'Rolling back…', help: 'Back to the generation before this one' },
};

/** The commands with a button of their own. */
export const MAIN_COMMANDS = ['pull', 'switch', 'test', 'update'];

const MENU_COMMANDS = ['boot', 'build', 'rollback'];

/**
 * The commands behind `more`: what the host offers, the usual ones first. A host that never registered has
 * said nothing, and any command may be queued for it.
 * @param {string[] | null | undefined} offered
 */
export function menuCommands(offered) {
  if (!offered || offered.length === 0) return MENU_COMMANDS;
  const own = offered.filter((name) => !MAIN_COMMANDS.includes(name) && !MENU_COMMANDS.includes(name));
  return [...MENU_COMMANDS.filter((name) => offered.includes(name)), ...own.sort()];
}

/** @param {string} command */
export function commandLabel(command) {
  return COMMANDS[command]?.label ?? capital(command.replaceAll('_', ' '));
}

/** @param {string} command */
export function commandDoing(command) {
  return COMMANDS[command]?.doing ?? `${commandLabel(command)}…`;
}

/** @param {string} command */
export function commandHelp(command) {
  return COMMANDS[command]?.help ?? `Run ${command} on this host`;
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @type {Record<string, {glyph: string, word: string}>} */
const PHASES = {
  pull: { glyph: '📥', word: 'Pulling' },
  evaluation: { glyph: '🔍', word: 'Evaluating' },
  download: { glyph: '📦', word: 'Downloading' },
  building: { glyph: '🔨', word: 'Building' },
  activation: { glyph: '🔧', word: 'Activating' },
  switch: { glyph: '🔁', word: 'Starting units' },
  testing: { glyph: '🧪', word: 'Testing' },
};

/** @param {string} phase */
export function phaseWord(phase) {
  return PHASES[phase]?.word ?? capital(phase);
}

/** @param {string} phase */
export function phaseGlyph(phase) {
  return PHASES[phase]?.glyph ?? '▶';
}

/** Whether ending the run now would leave the machine between two systems. @param {Run} run */
export function isActivating(run) {
  return run.status === 'running' && (run.phase === 'activation' || run.phase === 'switch');
}

/**
 * How far the phase is: counts that somebody said, or null. More done than expected is shown as it was said.
 * @param {Run} run @returns {{done: number, expected: number} | null}
 */
export function phaseCount(run) {
  if (run.phase === 'testing') {
    return run.tests ? { done: run.tests.current, expected: run.tests.total } : null;
  }
  if (run.phase !== 'building' && run.phase !== 'download') return null;
  const { done, expected } = run;
  return done == null || expected == null || expected === 0 ? null : { done, expected };
}

/** `🔨 Building (15/42)`; null before the first phase. @param {Run} run */
export function phaseText(run) {
  if (!run.phase) return null;
  const count = phaseCount(run);
  const counts = count ? ` (${count.done}/${count.expected})` : '';
  return `${phaseGlyph(run.phase)} ${phaseWord(run.phase)}${counts}`;
}

/**
 * What an exit code means. Those of switch-to-configuration mean something only once it ran.
 * @param {number | null | undefined} code @param {boolean} activated
 */
export function exitCodeMeaning(code, activated) {
  switch (code) {
    case null:
    case undefined:
      return 'there is no exit code';
    case 0:
      return 'everything went well';
    case 124:
      return 'it took longer than its time limit';
    case 127:
      return 'the program was not found on the host';
    default:
      if (code > 128 && code < 193) return `ended by signal ${signalName(code - 128)}`;
      return (activated && activationMeaning(code)) || (activated ? '' : 'nothing was activated; ') + 'the log says why';
  }
}

/** What an exit code of switch-to-configuration means. @param {number} code */
function activationMeaning(code) {
  switch (code) {
    case 1:
      return 'a check before the switch, the boot loader or the activation failed';
    case 2:
      return 'an activation script failed';
    case 4:
      return 'a unit failed to start, and the system is switched';
    case 100:
      return 'the new init is incompatible: a reboot is needed';
    case 101:
      return 'the activation panicked and may have left units stopped';
    default:
      return '';
  }
}

/** @param {number} number */
function signalName(number) {
  /** @type {Record<number, string>} */
  const names = { 1: 'HUP', 2: 'INT', 3: 'QUIT', 6: 'ABRT', 9: 'KILL', 11: 'SEGV', 13: 'PIPE', 15: 'TERM' };
  return names[number] ? `${number} (SIG${names[number]})` : String(number);
}
