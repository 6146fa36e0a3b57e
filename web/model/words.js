/** Words for commands, phases and exit codes. */

/** @typedef {import('./types.js').Run} Run */

/** @type {Record<string, {label: string, doing: string, help: string}>} */
const COMMANDS = {
  deploy: { label: 'Deploy', doing: 'Deploying…', help: 'Pull, then switch if the pull succeeded' },
  switch: { label: 'Switch', doing: 'Switching…', help: 'Build the configuration and activate it' },
  test: { label: 'Test', doing: 'Testing…', help: 'Activate until the next reboot, then run the host’s checks' },
  boot: { label: 'Boot', doing: 'Building…', help: 'Build now, activate at next boot' },
  build: { label: 'Build', doing: 'Building…', help: 'Build only; nothing changes on the host' },
  plan: { label: 'Plan', doing: 'Planning…', help: 'Build, and show what a switch would change' },
  pull: { label: 'Pull', doing: 'Pulling…', help: 'Fetch the configuration from its repository' },
  update: { label: 'Update', doing: 'Updating…', help: 'Update flake inputs on the host only. The next Pull discards this.' },
  rollback: { label: 'Rollback', doing: 'Rolling back…', help: 'Roll back to the previous generation' },
  reboot: { label: 'Reboot', doing: 'Rebooting…', help: 'Reboot the host' },
  stop: { label: 'Stop', doing: 'Stopping…', help: 'Stop the run' },
};

/** Why the buttons of a viewer are disabled. */
export const VIEWER = 'Viewers cannot start runs. Ask for the operator role.';

/** *Deploy* is a pull, and a switch where the pull succeeded. */
export const DEPLOY = { command: 'pull', then: 'switch' };

/** In a menu in this order; those of the host's own come behind them. */
const MENU = ['switch', 'test', 'boot', 'build', 'plan', 'pull', 'update', 'rollback', 'reboot'];
/** What a host that never registered is taken to offer. */
const USUAL = ['switch', 'test', 'boot', 'build', 'pull', 'update', 'rollback'];
/** Commands that change nothing that runs, so several hosts may get them without a question. */
const HARMLESS = ['pull', 'build', 'plan', 'update', 'stop'];

/**
 * The commands of a menu: what the host offers. A host that never registered has said nothing, and any command
 * may be queued for it.
 * @param {string[] | null | undefined} offered
 */
export function menuCommands(offered) {
  if (!offered || offered.length === 0) return USUAL;
  const own = offered.filter((name) => !MENU.includes(name));
  return [...MENU.filter((name) => offered.includes(name)), ...own.sort()];
}

/** Whether the hosts are shown before it starts. @param {string[]} commands one after the other @param {number} hosts how many */
export function asksFirst(commands, hosts) {
  return commands.includes('rollback') || (hosts > 1 && !commands.every((command) => HARMLESS.includes(command)));
}

/** `Deploy`, `Pull, then Rollback` @param {string[]} commands one after the other */
export function commandsLabel(commands) {
  return isDeploy(commands) ? commandLabel('deploy') : commands.map(commandLabel).join(', then ');
}

/** @param {string[]} commands one after the other */
export function isDeploy(commands) {
  return commands.join() === Object.values(DEPLOY).join();
}

/** @param {string} command */
export function commandLabel(command) {
  return COMMANDS[command]?.label ?? capital(command.replaceAll('_', ' '));
}

/** The label as a verb, for what is done to several hosts. @param {string[]} commands */
export function commandsVerb(commands) {
  return commandsLabel(commands).replace('Rollback', 'Roll back');
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
  pull: { glyph: '⬇', word: 'Pulling' },
  evaluation: { glyph: '🔄', word: 'Evaluating' },
  download: { glyph: '📦', word: 'Downloading' },
  building: { glyph: '🔨', word: 'Building' },
  activation: { glyph: '⚡', word: 'Activating' },
  switch: { glyph: '🔄', word: 'Starting units' },
  testing: { glyph: '🧪', word: 'Testing' },
  planning: { glyph: '📋', word: 'Planning' },
  confirming: { glyph: '⏳', word: 'Confirming' },
  rebooting: { glyph: '⏻', word: 'Rebooting' },
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
 * @param {number | null | undefined} code @param {boolean} activated @param {boolean} [deploys] whether the command is one that activates
 */
export function exitCodeMeaning(code, activated, deploys = true) {
  if (code == null) return 'No exit code';
  if (code === 0) return 'Succeeded';
  const said = `(exit code ${code})`;
  const unchanged = activated || !deploys ? '' : ' The host still runs the old system.';
  if (code === 124) return `Timed out ${said}.${unchanged}`;
  if (code === 127) return `Program not found on the host ${said}.${unchanged}`;
  if (code > 128 && code < 193) return `Ended by signal ${signalName(code - 128)}.${unchanged}`;
  if (!deploys) return `Failed ${said}`;
  if (!activated) return `Failed before activation ${said}.${unchanged}`;
  return `${ACTIVATION[code] ?? 'Failed during or after activation'} ${said}`;
}

/** What an exit code of switch-to-configuration means. @type {Record<number, string>} */
const ACTIVATION = {
  1: 'The activation, the boot loader or a check before the switch failed',
  2: 'An activation script failed',
  4: 'Switched, but a unit failed to start',
  100: 'The new init is incompatible: reboot the host',
  101: 'The activation crashed and may have left units stopped',
};

/** @param {number} number */
function signalName(number) {
  /** @type {Record<number, string>} */
  const names = { 1: 'HUP', 2: 'INT', 3: 'QUIT', 6: 'ABRT', 9: 'KILL', 11: 'SEGV', 13: 'PIPE', 15: 'TERM' };
  return names[number] ? `${number} (SIG${names[number]})` : String(number);
}
