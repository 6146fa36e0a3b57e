/** What is shown at an address that is none of the page's. */

import { h } from './dom.js';

export class NowherePage extends HTMLElement {
  connectedCallback() {
    this.append(notFound('Page not found', `There is nothing at ${location.pathname}.`, h('a', { href: '/' }, 'Go to the fleet')));
  }
}

/** @param {string} title @param {string} text @param {...(Node | string)} ways to other places */
export function notFound(title, text, ...ways) {
  return h('section', { class: 'not-found' }, h('h1', {}, title), h('p', {}, text), h('p', {}, ...ways));
}

customElements.define('sy-nowhere', NowherePage);
