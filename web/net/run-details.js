/** Reads the runs that the fleet shows and was not told: those of a deployment behind a later run. */

/** At one time, so that a fleet with many failures asks for them one after the other. */
const MAX_ASKED = 2;

export class RunDetails {
  #api;
  #fleet;
  /** @type {Set<string>} */
  #known = new Set();
  /** @type {[string, string][]} */
  #wanted = [];
  #asking = 0;

  /** @param {import('./api.js').Api} api @param {import('../model/fleet.js').Fleet} fleet */
  constructor(api, fleet) {
    this.#api = api;
    this.#fleet = fleet;
  }

  /** Asks for a run, once. @param {string} host @param {string} run */
  want(host, run) {
    const key = `${host}/${run}`;
    if (this.#known.has(key) || this.#fleet.findRun(host, run)) return;
    this.#known.add(key);
    this.#wanted.push([host, run]);
    void this.#pump();
  }

  async #pump() {
    const next = this.#asking < MAX_ASKED ? this.#wanted.shift() : undefined;
    if (!next) return;
    this.#asking += 1;
    try {
      const asked = this.#fleet.asks();
      this.#fleet.answered(await this.#api.run(...next), asked);
    } catch {
      // A log that retention removed: the row says what the deployment says.
    } finally {
      this.#asking -= 1;
      void this.#pump();
    }
  }
}
