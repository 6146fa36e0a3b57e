/** How long the latest runs of a command took: a bar for each, which leads to it. */

import { bars, median, usualCommand } from '../model/durations.js';
import { duration, exactTime, plural } from '../model/format.js';
import { runPath } from '../model/route.js';
import { runState, runWord } from '../model/status.js';
import { commandLabel } from '../model/words.js';
import { h, setText } from './dom.js';

/** @typedef {import('../model/types.js').Run} Run */

/** With one run there is nothing to compare. */
const MIN_BARS = 2;

export class DurationChart extends HTMLElement {
  #title = h('h2', {});
  #text = h('p', { class: 'quiet' });
  #bars = h('div', { class: 'bars' });
  #drawn = '';

  connectedCallback() {
    if (this.childElementCount === 0) this.append(h('header', {}, this.#title, this.#text), this.#bars);
  }

  /** @param {Run[]} runs newest first @param {string} command empty for the usual one */
  draw(runs, command) {
    const name = command || usualCommand(runs);
    const shown = name ? bars(runs, name) : [];
    this.hidden = shown.length < MIN_BARS;
    const key = shown.map(({ run }) => `${run.run_id}${run.status}${run.duration_ms}`).join();
    if (this.hidden || key === this.#drawn) return;
    this.#drawn = key;
    const usual = median(shown);
    const longest = Math.max(...shown.map(({ ms }) => ms));
    setText(this.#title, `How long ${commandLabel(name ?? '')} takes`);
    setText(this.#text, usual === null ? `No successful run. Longest: ${duration(longest)} (last ${plural(shown.length, 'run')})` : `Typical ${duration(usual)} · longest ${duration(longest)} · last ${plural(shown.length, 'run')}`);
    this.#bars.replaceChildren(
      ...shown.map(({ run, ms, height }) => {
        const text = `${runWord(run)}, ${duration(ms)}, ${exactTime(run.started ?? run.queued)}`;
        const bar = h('a', { href: runPath(run.host_id, run.run_id), class: 'bar', 'data-state': runState(run), title: text, 'aria-label': `${commandLabel(run.command)}: ${text}` }, h('span', {}));
        /** @type {HTMLElement} */ (bar.firstElementChild).style.height = `${Math.max(4, height * 100)}%`;
        return bar;
      }),
    );
  }
}

customElements.define('sy-durations', DurationChart);
