/** A button that opens a short list of things to do. The list is in the top layer, so no edge cuts it off. */

import { h, setAttribute, setText } from './dom.js';

/** `of` is what it is about, for assistive tools: on screen the place says so. @typedef {{name: string, label: string, help: string, of?: string}} Item */

const MARGIN = 8;

export class Menu extends HTMLElement {
  /** Called before the list is shown. @type {() => void} */
  onOpen = () => {};
  #choose;
  #button;
  #list = h('div', { class: 'menu-list', role: 'menu', popover: 'auto' });
  /** @type {Item[]} */
  #items = [];
  #drawn = '';

  /** @param {string | Element} label @param {(name: string) => void} choose */
  constructor(label, choose) {
    super();
    this.#choose = choose;
    this.#button = h('button', { type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', onclick: () => this.#toggle(), class: typeof label === 'string' && 'labelled' }, label);
    this.#list.addEventListener('keydown', (event) => this.#keydown(event));
    this.#list.addEventListener('toggle', () => this.#button.setAttribute('aria-expanded', String(this.#isOpen)));
  }

  /** Its accessible name, where its label is an icon. @param {string} text */
  set name(text) {
    setAttribute(this.#button, 'aria-label', text);
  }

  /** @param {string} text */
  set label(text) {
    this.#button.classList.add('labelled');
    setText(this.#button, text);
  }

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#button, this.#list);
  }

  /** @param {Item[]} items @param {boolean} disabled */
  update(items, disabled) {
    this.#button.disabled = disabled;
    if (disabled && this.#isOpen) this.#list.hidePopover();
    this.#items = items;
    if (!this.#isOpen) return;
    this.#draw();
    this.#place();
  }

  get #isOpen() {
    return this.#list.matches(':popover-open');
  }

  /** A fleet has hundreds of these lists, and hardly ever is one looked at. */
  #draw() {
    const key = JSON.stringify(this.#items);
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.#list.replaceChildren(...this.#items.map((item) => this.#item(item)));
  }

  /** @param {Item} item */
  #item({ name, label, help, of }) {
    const act = () => {
      this.#list.hidePopover();
      this.#choose(name);
    };
    const attributes = { type: 'button', role: 'menuitem', 'data-command': name, onclick: act };
    return h('button', attributes, h('span', {}, label, of && h('span', { class: 'unseen' }, ` ${of}`)), ' ', help && h('small', {}, help));
  }

  #toggle() {
    if (this.#isOpen) return this.#list.hidePopover();
    this.onOpen();
    this.#draw();
    this.#list.showPopover();
    this.#place();
    this.#list.querySelector('button')?.focus();
  }

  #place() {
    const box = this.#button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#list;
    const below = box.bottom + 4 + height < innerHeight || box.top < innerHeight / 2;
    const left = Math.max(MARGIN, Math.min(box.right - width, innerWidth - width - MARGIN));
    Object.assign(this.#list.style, { left: `${left}px`, top: `${below ? box.bottom + 4 : Math.max(MARGIN, box.top - height - 4)}px` });
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
