/** What tokens, sessions and audit log have in common: they are read, may be refused, and are lists. */

import { ApiError } from '../net/api.js';
import { h, setText } from './dom.js';

export class AccessPanel extends HTMLElement {
  context;
  me;
  #what = '';
  #reason = h('p', {});
  #problem = h('div', { class: 'problem', role: 'alert', hidden: true }, this.#reason, h('button', { type: 'button', onclick: () => void this.load() }, 'Try again'));
  #turn = 0;

  /** @param {import('./context.js').Context} context @param {import('../model/access.js').Me} me who looks */
  constructor(context, me) {
    super();
    this.context = context;
    this.me = me;
  }

  /** @param {string} what is read @param {...Node} parts */
  begin(what, ...parts) {
    this.#what = what;
    if (this.childElementCount > 0) return;
    this.append(this.#problem, ...parts);
    void this.load();
  }

  async load() {
    await this.attempt(() => this.read());
  }

  get failed() {
    return !this.#problem.hidden;
  }

  /** Now and then, while somebody looks. */
  async refresh() {
    await this.load();
  }

  /** Asks, and draws; a later call wins over an earlier one that is slower. @returns {Promise<() => void>} draws */
  async read() {
    return () => {};
  }

  /** @param {() => Promise<() => void>} read */
  async attempt(read) {
    const turn = ++this.#turn;
    try {
      const draw = await read();
      if (turn !== this.#turn || !this.isConnected) return;
      this.#problem.hidden = true;
      draw();
    } catch (error) {
      if (turn !== this.#turn || (error instanceof ApiError && error.status === 401)) return;
      const reason = error instanceof Error ? error.message : String(error);
      setText(this.#reason, error instanceof ApiError && error.status === 403 ? `You cannot see ${this.#what}: ${reason}.` : `Could not load ${this.#what}. ${reason}`);
      this.#problem.hidden = false;
    }
  }
}

/**
 * Keeps an element for each thing, so that focus and pointer stay where they are when the list is read again.
 * @template T
 */
export class KeyedList {
  #list;
  #key;
  #make;
  /** @type {Map<string, {element: HTMLElement, show: (thing: T) => void}>} */
  #shown = new Map();

  /** @param {HTMLElement} list @param {(thing: T) => string} key @param {() => {element: HTMLElement, show: (thing: T) => void}} make */
  constructor(list, key, make) {
    this.#list = list;
    this.#key = key;
    this.#make = make;
  }

  /** @param {T[]} things */
  draw(things) {
    const keys = new Set(things.map(this.#key));
    for (const [key, { element }] of this.#shown) {
      if (keys.has(key)) continue;
      element.remove();
      this.#shown.delete(key);
    }
    for (const [i, thing] of things.entries()) {
      const key = this.#key(thing);
      const row = this.#shown.get(key) ?? this.#make();
      this.#shown.set(key, row);
      row.show(thing);
      const there = this.#list.children[i] ?? null;
      if (there !== row.element) this.#list.insertBefore(row.element, there);
    }
  }
}
