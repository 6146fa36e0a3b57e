/**
 * Whether the log follows its end. It pauses on what a person does, never because many lines come. A pointer
 * that moves over the log stops the scrolling, not the intake; leaving brings back only what hovering stopped.
 *
 * @typedef {'hover'|'scrolled'|'selection'|'searching'|'jumped'|'switched off'} Reason
 */

import { count, plural } from './format.js';

/** @type {Record<Reason, string>} */
const WHY = {
  hover: 'paused while the pointer is over the log',
  scrolled: 'paused because you scrolled',
  selection: 'paused because text is selected',
  searching: 'paused while you search',
  jumped: 'paused at the line you went to',
  'switched off': 'paused',
};

export class Follow {
  /** @type {Reason | null} */
  #reason = null;
  /** How many lines there were when it paused. */
  #seen = 0;
  #errors = 0;

  get following() {
    return this.#reason === null;
  }

  /** Lines that came since it paused. @param {number} total lines of the log */
  newLines(total) {
    return this.#reason === null ? 0 : Math.max(0, total - this.#seen);
  }

  /** Why it is paused, in words; empty while it follows. */
  get why() {
    return this.#reason === null ? '' : WHY[this.#reason];
  }

  /** Any other reason replaces hovering; hovering replaces none. @param {Reason} reason @param {number} total lines of the log */
  pause(reason, total) {
    if (this.#reason === null) {
      this.#seen = total;
      this.#errors = 0;
    }
    if (this.#reason === null || this.#reason === 'hover') this.#reason = reason;
  }

  /** It is known for the first time how many lines there are: none of them is new. @param {number} total lines of the log */
  opened(total) {
    this.#seen = Math.max(this.#seen, total);
  }

  /** The pointer has left the log. */
  leave() {
    if (this.#reason === 'hover') this.resume();
  }

  resume() {
    this.#reason = null;
  }

  /** Errors among lines that have just come. @param {number} errors */
  sawErrors(errors) {
    this.#errors += errors;
  }

  /** `▼ 128 new · 2 errors` @param {number} total lines of the log */
  pill(total) {
    const lines = this.newLines(total);
    if (lines === 0) return '▼ Follow';
    return `▼ ${count(lines)} new${this.#errors === 0 ? '' : ` · ${plural(this.#errors, 'error')}`}`;
  }
}
