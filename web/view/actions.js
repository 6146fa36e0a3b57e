/** Starting and stopping runs, for one host or many. */

import { isBusy } from '../model/status.js';
import { isActivating, commandLabel } from '../model/words.js';
import { ApiError } from '../net/api.js';
import { confirm } from './confirm.js';

/** @typedef {import('../model/types.js').Run} Run */

export class Actions {
  #api;
  #fleet;
  #toasts;
  /** Commands that were asked for and not yet answered, by host. @type {Map<string, string>} */
  #pending = new Map();
  #forbidden = false;
  /** Called when a host's pending command changed. @type {(host: string) => void} */
  onPending = () => {};

  /** @param {import('../net/api.js').Api} api @param {import('../model/fleet.js').Fleet} fleet @param {import('./toasts.js').Toasts} toasts */
  constructor(api, fleet, toasts) {
    this.#api = api;
    this.#fleet = fleet;
    this.#toasts = toasts;
  }

  /** Whether this user may only look. */
  get forbidden() {
    return this.#forbidden;
  }

  /** The dashboard refused this user: every button that would be refused says so from now on. */
  forbid() {
    this.#forbidden = true;
    for (const host of this.#fleet.hosts.keys()) this.onPending(host);
  }

  /** @param {string} host @returns {string | null} */
  pending(host) {
    return this.#pending.get(host) ?? null;
  }

  /** @param {string} host @param {string} command @returns {Promise<string | null>} the id of the run, null when there is none */
  async start(host, command) {
    this.#setPending(host, command);
    try {
      const { run_id } = await this.#api.command(host, command);
      this.#queued(host, run_id, command);
      return run_id;
    } catch (error) {
      this.#toasts.error(`${commandLabel(command)} on ${host} did not start`, error);
      return null;
    } finally {
      this.#setPending(host, null);
    }
  }

  /**
   * Gives what the dashboard answered for each host; null where it answered nothing.
   * @param {string[]} hosts @param {string} command
   */
  async startMany(hosts, command) {
    for (const host of hosts) this.#setPending(host, command);
    try {
      const { results } = await this.#api.commands(hosts, command);
      if (command !== 'stop') for (const { host_id, run_id } of results) if (run_id) this.#queued(host_id, run_id, command);
      return results;
    } catch (error) {
      this.#toasts.error(`${commandLabel(command)} did not start`, error);
      return null;
    } finally {
      for (const host of hosts) this.#setPending(host, null);
    }
  }

  /** @param {string} host_id @param {string} run_id @param {string} command */
  #queued(host_id, run_id, command) {
    this.#fleet.receive({ type: 'command_queued', host_id, run_id, command });
  }

  /** Asks first where stopping leaves the machine between two systems. @param {Run} run */
  async stop(run) {
    if (isActivating(run)) return this.#forceStop(run);
    try {
      await this.#api.command(run.host_id, 'stop');
      this.#forceWhereRefused(run);
    } catch (error) {
      if (error instanceof ApiError && error.status === 409 && (await this.#hasBegunToActivate(run))) return this.#forceStop(run);
      this.#toasts.error(`${run.host_id} was not stopped`, error);
    }
  }

  /** The answer may be here before the news that the activation has begun. @param {Run} run */
  async #hasBegunToActivate(run) {
    const asked = this.#fleet.asks();
    const now = await this.#api.run(run.host_id, run.run_id).catch(() => null);
    if (now) this.#fleet.answered(now, asked);
    return now !== null && isActivating(now);
  }

  /**
   * Where the activation begins while the wish to stop is on its way, the host refuses it: then the person is
   * asked as if it had been so from the start.
   * @param {Run} run
   */
  #forceWhereRefused(run) {
    const look = () => {
      const now = this.#fleet.findRun(run.host_id, run.run_id);
      if (now && !isActivating(now) && isBusy(now)) return;
      stop();
      if (now && isActivating(now)) void this.#forceStop(now);
    };
    const stop = this.#fleet.onChange(look);
    // The news may have been faster than the answer.
    look();
  }

  /** @param {Run} run */
  async #forceStop(run) {
    const yes = await confirm({
      title: `Stop ${run.host_id} in the middle of its activation?`,
      text: [
        `${run.host_id} is changing from one system to the other right now. If you end it here, the machine stays half switched: units may be left stopped, and /etc may belong to the new system while the old one still runs.`,
        'Letting it finish is nearly always better. After a forced stop, run Switch or Rollback to bring the machine back to one system.',
      ],
      yes: 'Force stop',
      no: 'Let it finish',
    });
    if (!yes) return;
    const now = this.#fleet.findRun(run.host_id, run.run_id);
    // Another run of the host must not be hit instead.
    if (now && !isBusy(now)) return this.#toasts.notice(`Nothing was stopped: ${run.command} on ${run.host_id} has ended meanwhile`);
    try {
      await this.#api.command(run.host_id, 'stop', true);
    } catch (error) {
      this.#toasts.error(`${run.host_id} was not stopped`, error);
    }
  }

  /** @param {string} host @param {string | null} command */
  #setPending(host, command) {
    if (command) this.#pending.set(host, command);
    else this.#pending.delete(host);
    this.onPending(host);
  }
}
