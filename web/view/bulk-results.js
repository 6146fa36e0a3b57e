/** What became of the latest command for several hosts, while it goes on. */

import { bulkResults, bulkSummary } from '../model/bulk.js';
import { plural } from '../model/format.js';
import { hostPath, runPath } from '../model/route.js';
import { commandLabel } from '../model/words.js';
import { h, oncePerFrame, setAttribute, setText } from './dom.js';
import { icon } from './icons.js';
import { StateBadge } from './state-badge.js';

/** @typedef {import('../model/bulk.js').Answer} Answer */

/** Of an item, px; as in the style. */
const HEIGHT = 24;
/** Items beyond the edges of what is in view. */
const BEYOND = 4;
/** Until the list is laid out. */
const USUAL_HEIGHT = 232;

export class BulkResults extends HTMLElement {
  #fleet;
  #title = h('strong', {});
  #summary = h('span', { class: 'quiet' });
  /** It holds the items in view, however many there are. */
  #list = h('ol', { class: 'results', onscroll: () => this.#scrolled() });
  #command = '';
  /** @type {Answer[]} */
  #answers = [];
  /** Known from events: asking for it while drawing would lay the page out at once. */
  #top = 0;
  #height = USUAL_HEIGHT;
  #resized = new ResizeObserver(() => {
    this.#height = this.#list.clientHeight;
    this.#redraw();
  });
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
    this.#resized.observe(this.#list);
  }

  disconnectedCallback() {
    this.#end();
    this.#resized.disconnect();
  }

  /** @param {string} command @param {Answer[]} answers */
  show(command, answers) {
    this.#command = command;
    this.#answers = answers;
    this.hidden = false;
    this.#draw();
  }

  #scrolled() {
    this.#top = this.#list.scrollTop;
    this.#redraw();
  }

  #draw() {
    const results = bulkResults(this.#answers, this.#fleet);
    setText(this.#title, `${commandLabel(this.#command)} on ${plural(results.length, 'host')}`);
    setText(this.#summary, bulkSummary(results));
    const first = Math.max(0, Math.min(Math.floor(this.#top / HEIGHT), results.length) - BEYOND);
    const end = Math.min(results.length, first + Math.ceil(this.#height / HEIGHT) + 2 * BEYOND);
    this.#list.style.setProperty('--above', `${first * HEIGHT}px`);
    this.#list.style.setProperty('--below', `${(results.length - end) * HEIGHT}px`);
    for (const [i, result] of results.slice(first, end).entries()) {
      const item = /** @type {HTMLElement} */ (this.#list.children[i] ?? this.#list.appendChild(makeItem()));
      setAttribute(item, 'aria-posinset', first + i + 1);
      setAttribute(item, 'aria-setsize', results.length);
      drawItem(item, result);
    }
    while (this.#list.childElementCount > end - first) this.#list.lastElementChild?.remove();
  }
}

/** @param {HTMLElement} item @param {import('../model/bulk.js').Result} result */
function drawItem(item, { host, run, state, word, text }) {
  const [badge, link, said] = /** @type {[StateBadge, HTMLAnchorElement, HTMLElement]} */ ([...item.children]);
  badge.update(state, word);
  setText(link, host);
  setAttribute(link, 'href', run ? runPath(host, run) : hostPath(host));
  setText(said, text);
}

function makeItem() {
  return h('li', {}, new StateBadge(), h('a', {}), h('span', { class: 'quiet' }));
}

customElements.define('sy-results', BulkResults);
