/** Whether the dashboard can store what comes. It is asked now and then while somebody looks. */

const EVERY_MS = 10_000;
/** While it cannot store, its recovery is to be seen soon. */
const EVERY_MS_FAULTY = 2000;

export class Health {
  /** Why it cannot store; null while it can. @type {string | null} */
  fault = null;
  /** Called when `fault` changed. @type {() => void} */
  onChange = () => {};

  #api;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asking = false;

  /** @param {Pick<import('./api.js').Api, 'health'>} api */
  constructor(api) {
    this.#api = api;
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
    try {
      const fault = await this.#api.health();
      if (fault !== this.fault) {
        this.fault = fault;
        this.onChange();
      }
    } catch {
      // Out of reach says nothing about its disk, and the page says already that it is.
    } finally {
      this.#asking = false;
      this.#timer = setTimeout(() => this.hint(), this.fault === null ? EVERY_MS : EVERY_MS_FAULTY);
    }
  }
}
