/** The dashboard's clock as the browser sees it, so that a wrong clock here shows no wrong durations. */

/** @typedef {import('./types.js').Run} Run */
/** @typedef {import('./types.js').Host} Host */

export class Clock {
  #offset = 0;
  #now;

  /** @param {() => number} now */
  constructor(now = Date.now) {
    this.#now = now;
  }

  /**
   * Takes the dashboard's time as it has just been told. Differences under two seconds are the way here, or what
   * the `Date` of an answer leaves out.
   * @param {string} time
   */
  learn(time) {
    const offset = Date.parse(time) - this.#now();
    if (!Number.isNaN(offset)) this.#offset = Math.abs(offset) < 2000 ? 0 : offset;
  }

  /** It is at least as late as this: a time of the past that the dashboard told. @param {string | null | undefined} time */
  notBefore(time) {
    const offset = Date.parse(time ?? '') - this.#now();
    if (offset > this.#offset + 2000) this.#offset = offset;
  }

  /** The dashboard's time, ms. */
  now() {
    return this.#now() + this.#offset;
  }

  /** The host's own time, ms: runs carry its stamps. @param {Host | undefined} host */
  hostNow(host) {
    return this.now() + (host?.clock_skew_ms ?? 0);
  }

  /** How long a run goes on or took, in ms; null before it began. @param {Run} run @param {Host | undefined} host */
  elapsed(run, host) {
    if (run.duration_ms != null) return run.duration_ms;
    if (!run.started) return null;
    const end = run.completed ? Date.parse(run.completed) : run.status === 'running' ? this.hostNow(host) : NaN;
    return Number.isNaN(end) ? null : Math.max(0, end - Date.parse(run.started));
  }
}
