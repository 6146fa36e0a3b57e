/** Reads the runs that the fleet shows and was not told: those of a deployment behind a later run. */

import { ApiError } from './api.js';

/** At one time, so that a fleet with many failures asks for them one after the other. */
const MAX_ASKED = 2;
/** After an answer that may be another one later, in ms: at first, and at most. */
const PAUSE = 2_000;
const MAX_PAUSE = 60_000;

export class RunDetails {
  #api;
  #fleet;
  /** @type {Set<string>} */
  #known = new Set();
  /** @type {[string, string][]} */
  #wanted = [];
  #asking = 0;
  #pause = PAUSE;
  #pausing = false;

  /** @param {import('./api.js').Api} api @param {import('../model/fleet.js').Fleet} fleet */
  constructor(api, fleet) {
    this.#api = api;
    this.#fleet = fleet;
  }

  /** Asks for a run, until it is known or gone. @param {string} host @param {string} run */
  want(host, run) {
    const key = `${host}/${run}`;
    if (this.#known.has(key) || this.#fleet.findRun(host, run)) return;
    this.#known.add(key);
    this.#wanted.push([host, run]);
    void this.#pump();
  }

  async #pump() {
    const next = this.#asking < MAX_ASKED && !this.#pausing ? this.#wanted.shift() : undefined;
    if (!next) return;
    this.#asking += 1;
    try {
      const asked = this.#fleet.asks();
      this.#fleet.answered(await this.#api.run(...next), asked);
      this.#pause = PAUSE;
    } catch (error) {
      // Of a run that retention removed the row says what the deployment says.
      const gone = error instanceof ApiError && (error.status === 404 || error.status === 410);
      if (!gone) this.#later(next);
    } finally {
      this.#asking -= 1;
      void this.#pump();
    }
  }

  /** Asks again after a pause, and for no other run before. @param {[string, string]} run */
  #later(run) {
    this.#wanted.push(run);
    if (this.#pausing) return;
    this.#pausing = true;
    setTimeout(() => {
      this.#pausing = false;
      for (let i = 0; i < MAX_ASKED; i++) void this.#pump();
    }, this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, MAX_PAUSE);
  }
}
