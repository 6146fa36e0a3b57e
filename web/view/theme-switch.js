/** Dark, light, or as the system has it. */

import { h, setAttribute, setHint } from './dom.js';
import { icon } from './icons.js';

const KEY = 'switchyard.theme';
/** @type {Record<string, {next: string, label: string}>} */
const THEMES = {
  system: { next: 'dark', label: 'Theme: system' },
  dark: { next: 'light', label: 'Theme: dark' },
  light: { next: 'system', label: 'Theme: light' },
};

export class ThemeSwitch extends HTMLElement {
  #button = h('button', { type: 'button', class: 'quiet theme', onclick: () => this.#next() });

  connectedCallback() {
    if (this.childElementCount === 0) this.append(this.#button);
    this.#draw();
  }

  get #theme() {
    return document.documentElement.dataset.theme ?? 'system';
  }

  #next() {
    const theme = THEMES[this.#theme]?.next ?? 'system';
    if (theme === 'system') {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem(KEY);
    } else {
      document.documentElement.dataset.theme = theme;
      localStorage.setItem(KEY, theme);
    }
    this.#draw();
  }

  #draw() {
    const { label } = THEMES[this.#theme] ?? { label: 'Theme' };
    this.#button.replaceChildren(icon(/** @type {import('./icons.js').Icon} */ (this.#theme)));
    setHint(this.#button, label);
    setAttribute(this.#button, 'aria-label', label);
  }
}

customElements.define('sy-theme', ThemeSwitch);
