/** What the dashboard said of the hosts and their runs. */

import { deploymentOf } from './status.js';

/** @typedef {import('./types.js').Host} Host */
/** @typedef {import('./types.js').Run} Run */

/** Runs besides the hosts' current ones that are remembered for a page that shows them, deployments among them. */
const MAX_RUNS = 1000;

export class Fleet {
  /** @type {Map<string, Host>} */
  hosts = new Map();
  /** Whether the first whole list has come. */
  loaded = false;
  /** A list that is still coming. @type {Map<string, Host> | null} */
  #incoming = null;
  /** @type {Map<string, Run>} */
  #runs = new Map();
  /** When each run as it is known was told or asked for, by a count of such moments. @type {WeakMap<Run, number>} */
  #since = new WeakMap();
  #moments = 0;
  /** @type {Set<(hostId: string | null) => void>} */
  #listeners = new Set();

  /**
   * Calls `listener` with the host that changed, or null when the whole list did; returns how to end that.
   * @param {(hostId: string | null) => void} listener
   */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a message of the dashboard; others than those of hosts and runs are ignored. @param {any} message */
  receive(message) {
    switch (message.type) {
      case 'hosts':
        return this.#list(message);
      case 'host_update':
        return this.#host(message.host);
      case 'run_update':
        return this.run(message.run);
      case 'command_queued':
        return this.#queued(message);
    }
  }

  /** @param {string} hostId @param {string} runId @returns {Run | undefined} */
  findRun(hostId, runId) {
    const current = this.hosts.get(hostId)?.run;
    return current?.run_id === runId ? current : this.#runs.get(`${hostId}/${runId}`);
  }

  /** The run of a host's deployment, where it is known. @param {Host} host */
  deployed(host) {
    const deployment = deploymentOf(host);
    return deployment ? this.findRun(host.id, deployment.run_id) : undefined;
  }

  /** A run is asked for now: to be given with the answer. */
  asks() {
    return ++this.#moments;
  }

  /** A run as an answer has it, unless something newer has come since it was asked for. @param {Run} run @param {number} asked */
  answered(run, asked) {
    const known = this.findRun(run.host_id, run.run_id);
    if (!known || (this.#since.get(known) ?? 0) <= asked) this.run(run, asked);
  }

  /** A run as it was told, or as it was when it was asked for. @param {Run} run @param {number} [since] */
  run(run, since = ++this.#moments) {
    this.#since.set(run, since);
    const host = this.hosts.get(run.host_id);
    if (host && isLatest(run, host.run)) this.hosts.set(host.id, { ...host, run });
    this.#remember(run);
    this.#changed(run.host_id);
  }

  /** A new connection sends its list from the beginning: what came of another one is not part of it. */
  begin() {
    this.#incoming = null;
  }

  /** @param {{hosts: Host[], more?: boolean}} message */
  #list(message) {
    const incoming = (this.#incoming ??= new Map());
    for (const host of message.hosts) {
      incoming.set(host.id, host);
      this.#told(host);
    }
    if (message.more) return;
    this.hosts = incoming;
    this.#incoming = null;
    this.loaded = true;
    this.#changed(null);
  }

  /** What is not in it did not change. @param {Host} update */
  #host(update) {
    const known = this.hosts.get(update.id);
    const host = { ...known, ...update };
    this.#incoming?.set(host.id, host);
    this.#told(update);
    this.hosts.set(host.id, host);
    if (update.run) this.#remember(update.run);
    this.#changed(known ? host.id : null);
  }

  /** @param {{host_id: string, run_id: string, command: string, requested_by?: string | null, then?: string | null}} message */
  #queued({ host_id, run_id, command, requested_by, then }) {
    if (this.findRun(host_id, run_id)) return;
    this.run({ host_id, run_id, command, requested_by, then, status: 'queued' });
  }

  /** @param {Host} host */
  #told(host) {
    if (host.run) this.#since.set(host.run, ++this.#moments);
  }

  /** @param {Run} run */
  #remember(run) {
    const key = `${run.host_id}/${run.run_id}`;
    this.#runs.delete(key);
    this.#runs.set(key, run);
    for (const oldest of this.#runs.keys()) {
      if (this.#runs.size <= MAX_RUNS) break;
      this.#runs.delete(oldest);
    }
  }

  /** @param {string | null} hostId */
  #changed(hostId) {
    for (const listener of this.#listeners) listener(hostId);
  }
}

/** Whether `run` is the one to show of its host: ids begin with the time. @param {Run} run @param {Run | null | undefined} shown */
function isLatest(run, shown) {
  if (!shown || run.run_id === shown.run_id) return true;
  // Clocks jump: a run's number is what orders it. Runs from before it was counted have 0, and only a time.
  const [number, known] = [run.number, shown.number];
  if (number !== undefined && known !== undefined && number !== known) return number > known;
  return run.run_id.slice(0, 19) >= shown.run_id.slice(0, 19);
}
