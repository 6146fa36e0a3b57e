/** What state a host or a run is in, as a person reads it. */

/** @typedef {import('./types.js').Run} Run */
/** @typedef {import('./types.js').Host} Host */
/** @typedef {'idle'|'queued'|'running'|'lost'|'ok'|'failed'|'stopped'} State */

/** The glyphs are for titles and notifications, which hold text alone. @type {Record<State, {glyph: string, word: string}>} */
export const STATES = {
  idle: { glyph: '○', word: 'idle' },
  queued: { glyph: '◷', word: 'queued' },
  running: { glyph: '▶', word: 'running' },
  lost: { glyph: '⌁', word: 'lost contact' },
  ok: { glyph: '✓', word: 'ok' },
  failed: { glyph: '✗', word: 'failed' },
  stopped: { glyph: '■', word: 'stopped' },
};

/** The order in which the summary names them. @type {State[]} */
export const STATE_ORDER = ['ok', 'running', 'failed', 'lost', 'queued', 'stopped', 'idle'];

/** Commands that activate a system or make it the boot default. */
const DEPLOYING = ['switch', 'test', 'boot', 'rollback', 'reboot'];

/** @param {string} command */
export function isDeploying(command) {
  return DEPLOYING.includes(command);
}

/** @param {Pick<Run, 'status'>} run @returns {State} */
export function runState(run) {
  switch (run.status) {
    case 'error':
    case 'rolled_back':
    case 'expired':
    case 'rejected':
      return 'failed';
    default:
      return run.status in STATES ? run.status : 'idle';
  }
}

/** The word beside the glyph: an expired run counts as failed and still says what it is. @param {Pick<Run, 'status'>} run */
export function runWord(run) {
  return run.status === 'expired' || run.status === 'rejected' || run.status === 'rolled_back' ? run.status.replace('_', ' ') : STATES[runState(run)].word;
}

/** Whether the host can take no other command now. @param {Run | null | undefined} run */
export function isBusy(run) {
  return run?.status === 'queued' || run?.status === 'running';
}

/**
 * What was last deployed to a host. A deploying run that has just ended is it before the dashboard says so.
 * @param {Host} host @returns {import('./types.js').Deployment | null}
 */
export function deploymentOf({ run, deployment }) {
  if (deployment && deployment.run_id === run?.run_id) return deployment;
  if (run && !isBusy(run) && (deployment === undefined || (isDeploying(run.command) && run.started))) return run;
  return deployment ?? null;
}

/** The last run where it is not the deployment itself. @param {Host} host @returns {Run | null} */
export function runBeside(host) {
  const { run } = host;
  return run && run.run_id !== deploymentOf(host)?.run_id ? run : null;
}

/**
 * A host that is out of contact is `lost`, whatever was deployed; one that waits in the queue says so, and one
 * that never came has nothing to lose. At rest the deployment decides, not the last run: a good pull does not
 * hide a failed switch, and a failed pull changes nothing on the host. Two machines that claim to be the host come
 * before everything, as nothing can be done until one is chosen.
 * @param {Host} host @returns {State}
 */
export function hostState(host) {
  const run = host.run;
  if (host.conflict) return 'failed';
  if (run?.status === 'queued') return 'queued';
  if (!host.online && (host.last_seen || run?.status === 'running')) return 'lost';
  if (run?.status === 'running') return 'running';
  const deployment = deploymentOf(host);
  return deployment ? runState(deployment) : 'idle';
}

/** @param {Host} host */
export function hostWord(host) {
  if (host.conflict) return 'conflict';
  const state = hostState(host);
  const deployment = deploymentOf(host);
  return deployment && state === runState(deployment) ? runWord(deployment) : STATES[state].word;
}

/** Failed and lost come first. @param {State} state */
function rank(state) {
  return state === 'failed' ? 0 : state === 'lost' ? 1 : 2;
}

const byName = new Intl.Collator('en', { numeric: true });

/** @param {Host} a @param {Host} b */
export function compareHosts(a, b) {
  return rank(hostState(a)) - rank(hostState(b)) || byName.compare(a.id, b.id);
}

/** @param {Iterable<Host>} hosts @returns {Map<State, number>} */
export function countStates(hosts) {
  /** @type {Map<State, number>} */
  const counts = new Map();
  for (const host of hosts) {
    const state = hostState(host);
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return counts;
}

/** The one state that stands for all of them in the title and the icon. @param {Map<State, number>} counts */
export function worstState(counts) {
  /** @type {State[]} */
  const order = ['failed', 'lost', 'running', 'queued'];
  return order.find((state) => counts.get(state)) ?? 'ok';
}

/** Ids begin with the time; in one second they are counted. */
const byId = new Intl.Collator('en', { numeric: true });

/** Newest first: by number, which no clock decides, and by time where runs have none. @param {{run_id: string, number?: number}} a @param {{run_id: string, number?: number}} b */
export function newestFirst(a, b) {
  return (b.number ?? 0) - (a.number ?? 0) || byId.compare(b.run_id, a.run_id);
}
