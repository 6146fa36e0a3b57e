/** A button that opens a short list of things to do. */

import { h, setText } from './dom.js';

/** @typedef {{name: string, label: string, help: string}} Item */

export class Menu extends HTMLElement {
  /** Called before the list is shown. @type {() => void} */
  onOpen = () => {};
  #choose;
  #button;
  #list = h('div', { class: 'menu-list', role: 'menu', hidden: true });
  #shown = '';
  /** @type {AbortController | null} */
  #open = null;

  /** @param {string} label @param {(name: string) => void} choose */
  constructor(label, choose) {
    super();
    this.#choose = choose;
    this.#button = h('button', { type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', onclick: () => this.#toggle() }, label);
    this.#list.addEventListener('keydown', (event) => this.#keydown(event));
  }

  /** @param {string} text */
  set label(text) {
    setText(this.#button, text);
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#button, this.#list);
  }

  disconnectedCallback() {
    this.#close();
  }

  /** @param {Item[]} items @param {boolean} disabled */
  update(items, disabled) {
    this.#button.disabled = disabled;
    if (disabled) this.#close();
    const key = JSON.stringify(items);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#list.replaceChildren(...items.map((item) => this.#item(item)));
  }

  /** @param {Item} item */
  #item({ name, label, help }) {
    const act = () => {
      this.#close();
      this.#choose(name);
    };
    const attributes = { type: 'button', role: 'menuitem', 'data-command': name, onclick: act };
    return h('button', attributes, h('span', {}, label), help && h('small', {}, help));
  }

  #toggle() {
    if (this.#open) return this.#close();
    this.onOpen();
    this.#list.hidden = false;
    this.#button.setAttribute('aria-expanded', 'true');
    const box = this.#button.getBoundingClientRect();
    // Where an edge would cut the list off, it stands in the window.
    if (this.classList.contains('floating')) Object.assign(this.#list.style, { top: `${box.bottom + 4}px`, left: `${Math.max(8, Math.min(box.left, innerWidth - this.#list.offsetWidth - 8))}px` });
    const below = box.bottom + this.#list.offsetHeight + 8 < innerHeight;
    this.classList.toggle('upward', !below);
    this.#open = new AbortController();
    const { signal } = this.#open;
    addEventListener('pointerdown', (event) => !this.contains(/** @type {Node} */ (event.target)) && this.#close(), { signal });
    addEventListener('keydown', (event) => event.key === 'Escape' && this.#close(true), { signal });
    this.#list.querySelector('button')?.focus();
  }

  /** @param {boolean} [refocus] */
  #close(refocus) {
    this.#open?.abort();
    this.#open = null;
    this.#list.hidden = true;
    this.#button.setAttribute('aria-expanded', 'false');
    if (refocus) this.#button.focus();
  }

  /** @param {KeyboardEvent} event */
  #keydown(event) {
    const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const items = [...this.#list.querySelectorAll('button')];
    const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    items[(at + by + items.length) % items.length]?.focus();
  }
}

customElements.define('sy-menu', Menu);
