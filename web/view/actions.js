/** Starting and stopping runs, for one host or many. */

import { plural } from '../model/format.js';
import { isBusy } from '../model/status.js';
import { asksFirst, commandLabel, commandsLabel, DEPLOY, isActivating, isDeploy } from '../model/words.js';
import { ApiError } from '../net/api.js';
import { confirm } from './confirm.js';
import { askSheet } from './sheet.js';

/** @typedef {import('../model/types.js').Run} Run */
/** `then` is started where `command` succeeds. @typedef {{command: string, then?: string}} Wish */

export class Actions {
  #api;
  #fleet;
  #toasts;
  #clock;
  /** Commands that were asked for and not yet answered, by host. @type {Map<string, string>} */
  #pending = new Map();
  #forbidden = false;
  /** Whether this user decides who comes in. */
  isAdmin = false;
  /** Called when a host's pending command changed, or what may be done to it. @type {(host: string) => void} */
  onPending = () => {};

  /** @param {import('../net/api.js').Api} api @param {import('../model/fleet.js').Fleet} fleet @param {import('./toasts.js').Toasts} toasts @param {import('../model/clock.js').Clock} clock */
  constructor(api, fleet, toasts, clock) {
    this.#api = api;
    this.#fleet = fleet;
    this.#toasts = toasts;
    this.#clock = clock;
  }

  /** Whether this user may only look. */
  get forbidden() {
    return this.#forbidden;
  }

  /** What the role of this user says, or a refusal: every button that would be refused shows it. @param {boolean} forbidden */
  forbid(forbidden) {
    if (this.#forbidden === forbidden) return;
    this.#forbidden = forbidden;
    for (const host of this.#fleet.hosts.keys()) this.onPending(host);
  }

  /** Since when a run is being stopped, in ms; null where nobody asked for it. @param {Run} run */
  stoppingFor({ stop_requested }) {
    return stop_requested ? Math.max(0, this.#clock.now() - Date.parse(stop_requested)) : null;
  }

  /** Whether a host hears what it is told. @param {string} host */
  isOnline(host) {
    return this.#fleet.hosts.get(host)?.online === true;
  }

  /** @param {string} host @returns {string | null} */
  pending(host) {
    return this.#pending.get(host) ?? null;
  }

  /** Asks first where it should. @param {string} host @param {string} name of a command, or `deploy` @returns {Promise<string | null>} the id of the run, null when there is none */
  async start(host, name) {
    return this.#start(host, name, parts(name));
  }

  /** Starts what a run was, with what follows it. @param {Run} run @returns {Promise<string | null>} the id of the new run, null when there is none */
  async startAgain({ host_id, command, then }) {
    const wish = { command, then: then ?? undefined };
    return this.#start(host_id, isDeploy(all(wish)) ? 'deploy' : command, wish);
  }

  /** @param {string} host @param {string} name that the host is shown to be busy with @param {Wish} wish @returns {Promise<string | null>} */
  async #start(host, name, wish) {
    const { command, then } = wish;
    if (asksFirst(all(wish), 1) && !(await askSheet(this.#fleet, [host], all(wish)))) return null;
    this.#setPending(host, name);
    try {
      const { run_id } = await this.#api.command(host, command, then ? { then } : {});
      this.#queued(host, run_id, command, then);
      return run_id;
    } catch (error) {
      this.#toasts.error(`Could not start ${commandsLabel(all(wish))} on ${host}`, error);
      return null;
    } finally {
      this.#setPending(host, null);
    }
  }

  /**
   * Asks first where it should. Gives what the dashboard answered for each host; null where nothing was started.
   * @param {string[]} hosts @param {string} name of a command, or `deploy`
   */
  async startMany(hosts, name) {
    const wish = parts(name);
    const { command, then } = wish;
    const wanted = asksFirst(all(wish), hosts.length) ? await askSheet(this.#fleet, hosts, all(wish)) : hosts;
    if (!wanted || wanted.length === 0) return null;
    for (const host of wanted) this.#setPending(host, name);
    try {
      const { results } = await this.#api.commands(wanted, command, then);
      for (const { host_id, run_id } of results) {
        if (!run_id) continue;
        if (command === 'stop') this.#setStopping({ host_id, run_id }, true);
        else this.#queued(host_id, run_id, command, then);
      }
      return results;
    } catch (error) {
      this.#toasts.error(`Could not ${command === 'stop' ? 'stop the runs' : `start ${commandLabel(name)}`} on ${plural(wanted.length, 'host')}`, error);
      return null;
    } finally {
      for (const host of wanted) this.#setPending(host, null);
    }
  }

  /** @param {string} host_id @param {string} run_id @param {string} command @param {string} [then] */
  #queued(host_id, run_id, command, then) {
    this.#fleet.receive({ type: 'command_queued', host_id, run_id, command, then });
  }

  /** Asks first where stopping leaves the machine between two systems. @param {Run} run */
  async stop(run) {
    if (isActivating(run)) return this.#forceStop(run);
    this.#setStopping(run, true);
    try {
      await this.#api.command(run.host_id, 'stop');
      this.#whenRefused(run);
    } catch (error) {
      this.#setStopping(run, false);
      if (error instanceof ApiError && error.status === 409 && (await this.#hasBegunToActivate(run))) return this.#forceStop(run);
      this.#toasts.error(`Could not stop the run on ${run.host_id}`, error);
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
   * Where the activation begins while the wish to stop is on its way, the host refuses it: then a person who asked for
   * this run is asked as if it had been so from the start.
   * @param {Run} run
   */
  #whenRefused(run) {
    const look = () => {
      const now = this.#fleet.findRun(run.host_id, run.run_id);
      if (now && !isActivating(now) && isBusy(now)) return;
      stop();
      if (!now || !isActivating(now)) return;
      this.#setStopping(now, false);
      void this.#forceStop(now);
    };
    const stop = this.#fleet.onChange(look);
    // The news may have been faster than the answer.
    look();
  }

  /** @param {Run} run */
  async #forceStop(run) {
    const yes = await confirm({
      title: `Stop the activation of ${run.host_id}?`,
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
    if (now && !isBusy(now)) return this.#toasts.notice(`Nothing was stopped: ${run.command} on ${run.host_id} has already ended`);
    this.#setStopping(run, true);
    try {
      await this.#api.command(run.host_id, 'stop', { force: true });
    } catch (error) {
      this.#setStopping(run, false);
      this.#toasts.error(`Could not stop the run on ${run.host_id}`, error);
    }
  }

  /** Shows it before the dashboard says so. @param {Pick<Run, 'host_id' | 'run_id'>} run @param {boolean} on */
  #setStopping({ host_id, run_id }, on) {
    const run = this.#fleet.findRun(host_id, run_id);
    if (run && isBusy(run)) this.#fleet.run({ ...run, stop_requested: on ? new Date(this.#clock.now()).toISOString() : null });
  }

  /** @param {string} host @param {string | null} command */
  #setPending(host, command) {
    if (command) this.#pending.set(host, command);
    else this.#pending.delete(host);
    this.onPending(host);
  }
}

/** Every command of it, one after the other. @param {Wish} wish */
function all({ command, then }) {
  return then ? [command, then] : [command];
}

/** @param {string} name @returns {Wish} */
function parts(name) {
  return name === 'deploy' ? DEPLOY : { command: name };
}
