/** One thing that failed in a run: what it was, its own last lines, and the ways from there into the log. */

import { stripAnsi } from '../model/ansi.js';
import { quote, rangeOf } from '../model/cause.js';
import { count } from '../model/format.js';
import { shortPaths } from '../model/summary.js';
import { isGone } from '../net/log-source.js';
import { copyText } from './clipboard.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/** @typedef {import('../model/types.js').Run} Run */
/** @typedef {import('../model/types.js').Cause} Cause */
/** @typedef {{goTo: (seq: number) => void, pick: (name: string) => void}} Log where the buttons lead */

/** How often its lines are asked for by themselves. */
const MAX_TRIES = 6;

export class CauseCard extends HTMLElement {
  #context;
  #run;
  #cause;
  #log;
  #details = h('details', {});
  #body = h('div', { class: 'cause-body' });
  #asked = false;
  /** How often its lines could not be read. */
  #failures = 0;
  /** @type {import('../model/cause.js').Quoted[]} */
  #lines = [];

  /**
   * @param {import('./context.js').Context} context @param {Run} run @param {Cause} cause
   * @param {boolean} open whether its lines are shown at once @param {Log} log
   */
  constructor(context, run, cause, open, log) {
    super();
    this.#context = context;
    this.#run = run;
    this.#cause = cause;
    this.#log = log;
    this.#details.open = open;
    this.#details.append(
      h('summary', {}, icon('failed'), h('strong', {}, shortPaths(stripAnsi(cause.summary)))),
      this.#body,
    );
    this.#details.addEventListener('toggle', () => this.#show());
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#details);
    this.#show();
  }

  #show() {
    if (!this.#details.open || this.#asked) return;
    this.#asked = true;
    void this.#fill();
  }

  async #fill() {
    const range = rangeOf(this.#cause);
    if (!range) return this.#body.replaceChildren(...wordsAlone(this.#run, this.#cause));
    const { api } = this.#context;
    try {
      this.#lines = await quote(this.#cause, async (from, limit) => (await api.lines(this.#run.host_id, this.#run.run_id, from, limit)).lines);
      this.#body.replaceChildren(this.#quoted(range.line), this.#buttons(range.line));
    } catch (error) {
      // It is asked again a few times, ever later, and when the card is opened the next time.
      this.#asked = false;
      this.#failures = isGone(error) ? MAX_TRIES : this.#failures + 1;
      if (this.#failures < MAX_TRIES) setTimeout(() => this.isConnected && this.#show(), 2 ** this.#failures * (750 + 500 * Math.random()));
      const detail = error instanceof Error ? error.message : String(error);
      this.#body.replaceChildren(h('p', { class: 'quiet' }, `Could not load the lines of this failure: ${detail}`), this.#buttons(range.line));
    }
  }

  /** @param {number} telling the line that says most */
  #quoted(telling) {
    const row = (/** @type {import('../model/cause.js').Quoted} */ { seq, text }) =>
      h(
        'li',
        { class: seq === telling && 'telling' },
        h('button', { type: 'button', title: `Go to line ${count(seq + 1)}`, 'aria-label': `Go to line ${count(seq + 1)}`, tabindex: -1, onclick: () => this.#log.goTo(seq) }, String(seq + 1)),
        h('code', {}, stripAnsi(text) || ' '),
      );
    return h('ol', { class: 'cause-lines', tabindex: 0, 'aria-label': 'Its last lines' }, ...this.#lines.map(row));
  }

  /** @param {number} telling */
  #buttons(telling) {
    const { kind, name } = this.#cause;
    return h(
      'div',
      { class: 'cause-buttons' },
      h('button', { type: 'button', class: 'soft', onclick: () => this.#log.goTo(telling) }, `Go to line ${count(telling + 1)}`),
      kind === 'derivation' && name && h('button', { type: 'button', onclick: () => this.#log.pick(name) }, 'All output of this derivation'),
      h('button', { type: 'button', onclick: () => void this.#copy() }, 'Copy'),
    );
  }

  async #copy() {
    const { toasts } = this.#context;
    try {
      await copyText([this.#cause.summary, ...this.#lines.map(({ text }) => text)].map(stripAnsi).join('\n'));
      toasts.notice('Copied', this.#cause.summary);
    } catch (error) {
      toasts.error('Could not copy the cause', error);
    }
  }
}

/** What is said where no line of the log says it. @param {Run} run @param {Cause} cause */
function wordsAlone(run, { summary }) {
  const rest = (run.message ?? '').replace(summary, '').trim();
  return [rest && h('pre', {}, rest), h('p', { class: 'quiet' }, 'This summary is not a line of the log.')].filter((node) => node !== '');
}

customElements.define('sy-cause', CauseCard);
