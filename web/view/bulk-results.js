/** What became of the latest command for several hosts, while it goes on. */

import { stripAnsi } from '../model/ansi.js';
import { bulkResults, bulkSummary } from '../model/bulk.js';
import { plural } from '../model/format.js';
import { runPath } from '../model/route.js';
import { commandLabel } from '../model/words.js';
import { h, oncePerFrame, setText } from './dom.js';
import { icon } from './icons.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/bulk.js').Answer} Answer */

const ITEMS_A_FRAME = 40;

export class BulkResults extends HTMLElement {
  #fleet;
  #title = h('strong', {});
  #summary = h('span', { class: 'quiet' });
  #list = h('ol', { class: 'results' });
  #command = '';
  /** @type {Answer[]} */
  #answers = [];
  /** What each item shows. @type {string[]} */
  #drawn = [];
  #redraw = oncePerFrame(() => this.#draw());
  /** @type {() => void} */
  #end = () => {};

  /** @param {import('../model/fleet.js').Fleet} fleet */
  constructor(fleet) {
    super();
    this.#fleet = fleet;
    this.hidden = true;
  }

  connectedCallback() {
    this.setAttribute('role', 'region');
    this.setAttribute('aria-label', 'Results of the last command for several hosts');
    const close = h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close the results', onclick: () => (this.hidden = true) }, icon('close'));
    if (this.childElementCount === 0) this.append(h('header', {}, this.#title, this.#summary, h('span', { class: 'gap' }), close), this.#list);
    this.#end = this.#fleet.onChange(() => !this.hidden && this.#redraw());
  }

  disconnectedCallback() {
    this.#end();
  }

  /** @param {string} command @param {Answer[]} answers */
  show(command, answers) {
    this.#command = command;
    this.#answers = answers;
    this.hidden = false;
    this.#draw();
  }

  #draw() {
    const results = bulkResults(this.#answers, this.#fleet);
    setText(this.#title, `${commandLabel(this.#command)} on ${plural(results.length, 'host')}`);
    setText(this.#summary, bulkSummary(results));
    let drawn = 0;
    for (const [i, { host, run, state, word, text }] of results.entries()) {
      const key = `${host} ${run} ${word} ${text}`;
      if (this.#drawn[i] === key) continue;
      // Hundreds of items at once would hold the page up.
      if (++drawn > ITEMS_A_FRAME) {
        this.#redraw();
        break;
      }
      this.#drawn[i] = key;
      const item = /** @type {HTMLElement} */ (this.#list.children[i] ?? this.#list.appendChild(makeItem()));
      const [badge, link, said] = /** @type {[StateBadge, HTMLAnchorElement, HTMLElement]} */ ([...item.children]);
      badge.update(state, word);
      setText(link, host);
      const href = run ? runPath(host, run) : `/hosts/${encodeURIComponent(host)}`;
      if (link.getAttribute('href') !== href) link.setAttribute('href', href);
      setText(said, stripAnsi(text));
    }
    while (this.#list.childElementCount > results.length) this.#list.lastElementChild?.remove();
    this.#drawn.length = this.#list.childElementCount;
  }
}

function makeItem() {
  return h('li', {}, new StateBadge(), h('a', {}), h('span', { class: 'quiet' }));
}

customElements.define('sy-results', BulkResults);
