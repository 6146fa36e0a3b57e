/** Short messages at the edge: what went wrong and what can be done, until read. */

import { ApiError } from '../net/api.js';
import { h } from './dom.js';
import { icon } from './icons.js';

const NOTICE_MS = 6000;
const MAX_TOASTS = 4;

export class Toasts extends HTMLElement {
  connectedCallback() {
    this.setAttribute('role', 'region');
    this.setAttribute('aria-label', 'Messages');
  }

  /** Stays until closed. @param {string} title @param {unknown} error */
  error(title, error) {
    if (error instanceof ApiError && error.status === 401) return;
    this.#add('error', title, error instanceof Error ? error.message : String(error));
  }

  /** Goes by itself. @param {string} title @param {string} [detail] */
  notice(title, detail = '') {
    const toast = this.#add('notice', title, detail);
    setTimeout(() => toast.remove(), NOTICE_MS);
  }

  /** @param {'error' | 'notice'} kind @param {string} title @param {string} detail */
  #add(kind, title, detail) {
    const toast = h(
      'div',
      { class: `toast ${kind}`, role: kind === 'error' ? 'alert' : 'status' },
      icon(kind === 'error' ? 'failed' : 'ok'),
      h('div', {}, h('strong', {}, title), detail && h('p', {}, detail)),
      h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close message', onclick: () => toast.remove() }, icon('close')),
    );
    for (const shown of [...this.children]) {
      if (shown.textContent === toast.textContent) shown.remove();
    }
    this.append(toast);
    while (this.childElementCount > MAX_TOASTS) this.firstElementChild?.remove();
    return toast;
  }
}

customElements.define('sy-toasts', Toasts);
