/** Whether the dashboard can store what comes, and what is to be looked at. It is asked now and then while somebody looks. */

const EVERY_MS = 10_000;
/** While it cannot store, its recovery is to be seen soon. */
const EVERY_MS_FAULTY = 2000;

export class Health {
  /** Why it cannot store; null while it can. @type {string | null} */
  fault = null;
  /** @type {string[]} */
  #warnings = [];
  #isTold = false;
  /** @type {(() => void)[]} */
  #listeners = [];
  #api;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asking = false;

  /** @param {Pick<import('./api.js').Api, 'health'>} api */
  constructor(api) {
    this.#api = api;
  }

  /** Calls `listener` when something changed. @param {() => void} listener */
  onChange(listener) {
    this.#listeners.push(listener);
  }

  /** What keeps nothing from being stored, and is to be looked at: for those who are told. */
  get warnings() {
    return this.#isTold ? this.#warnings : [];
  }

  /** Whether this user is told what is wrong. Others learn that something is. */
  get isTold() {
    return this.#isTold;
  }

  set isTold(on) {
    if (this.#isTold === on) return;
    this.#isTold = on;
    // What was answered so far was meant for somebody else.
    this.#warnings = [];
    this.#changed();
    this.hint();
  }

  start() {
    document.addEventListener('visibilitychange', () => this.hint());
    this.hint();
  }

  /** Something may have changed: asks at once. */
  hint() {
    if (document.hidden || this.#asking) return;
    clearTimeout(this.#timer);
    void this.#ask();
  }

  async #ask() {
    this.#asking = true;
    const isTold = this.#isTold;
    let wait = EVERY_MS;
    try {
      const { fault, warnings } = await this.#api.health();
      if (isTold !== this.#isTold) wait = 0;
      else this.#answered(fault, warnings);
    } catch {
      // Out of reach says nothing about its disk, and the page says already that it is.
    } finally {
      this.#asking = false;
      if (wait > 0 && this.fault !== null) wait = EVERY_MS_FAULTY;
      this.#timer = setTimeout(() => this.hint(), wait);
    }
  }

  /** @param {string | null} fault @param {string[]} warnings */
  #answered(fault, warnings) {
    // While it cannot store it does not tell them.
    const known = fault === null ? warnings : this.#warnings;
    if (fault === this.fault && known.join('\n') === this.#warnings.join('\n')) return;
    [this.fault, this.#warnings] = [fault, known];
    this.#changed();
  }

  #changed() {
    for (const listener of this.#listeners) listener();
  }
}
