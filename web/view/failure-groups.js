/** Failures that several hosts have in common, each on one line that leads to its hosts. */

import { commonFailures } from '../model/failures.js';
import { plural } from '../model/format.js';
import { h, setAttribute, setText } from './dom.js';
import { icon } from './icons.js';

const MAX_GROUPS = 4;

export class FailureGroups extends HTMLElement {
  #fleet;
  #choose;
  /** The failure whose hosts alone are shown. @type {string | null} */
  #chosen = null;

  /** @param {import('../model/fleet.js').Fleet} fleet @param {() => void} choose called when other hosts are to be shown */
  constructor(fleet, choose) {
    super();
    this.#fleet = fleet;
    this.#choose = choose;
  }

  /** The hosts that alone are to be shown, or null. @returns {Set<string> | null} */
  get hosts() {
    const chosen = this.#chosen;
    const group = chosen === null ? undefined : this.#groups().find(({ text }) => text === chosen);
    return group ? new Set(group.hosts) : null;
  }

  #groups() {
    return commonFailures(this.#fleet.hosts.values(), (host) => this.#fleet.deployed(host));
  }

  draw() {
    const groups = this.#groups().slice(0, MAX_GROUPS);
    if (!groups.some(({ text }) => text === this.#chosen)) this.#chosen = null;
    for (const [i, { text, hosts }] of groups.entries()) {
      const button = this.children[i] ?? this.appendChild(this.#button());
      const [, number, said] = button.children;
      if (number) setText(number, `${plural(hosts.length, 'host')}:`);
      if (said) setText(said, text);
      setAttribute(button, 'title', `${hosts.join(', ')}: ${text}`);
      setAttribute(button, 'aria-pressed', String(text === this.#chosen));
      /** @type {HTMLElement} */ (button).dataset.text = text;
    }
    while (this.childElementCount > groups.length) this.lastElementChild?.remove();
  }

  #button() {
    const button = h('button', { type: 'button', class: 'failure', 'data-state': 'failed' }, icon('failed'), h('strong', {}), h('span', { class: 'failure-text' }));
    button.addEventListener('click', () => {
      const { text } = button.dataset;
      this.#chosen = this.#chosen === text ? null : (text ?? null);
      this.draw();
      this.#choose();
    });
    return button;
  }
}

customElements.define('sy-failures', FailureGroups);
