/** The bar at the top: brand, where we are, theme, sign out. */

import { hostPath } from '../model/route.js';
import { h } from './dom.js';

/** @typedef {import('../model/route.js').Route} Route */

/** Whether this browser signed in: a dashboard without users has nobody to sign out. */
const SIGNED_IN = 'switchyard.signed-in';

export class TopBar extends HTMLElement {
  #trail = h('nav', { class: 'trail', 'aria-label': 'Place' });
  #signOut;
  #tools;

  /** @param {HTMLElement[]} tools @param {() => void} signOut */
  constructor(tools, signOut) {
    super();
    this.#tools = tools;
    this.#signOut = h('button', { type: 'button', class: 'quiet', hidden: !localStorage.getItem(SIGNED_IN), onclick: signOut }, 'Sign out');
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    const brand = h('a', { class: 'brand', href: '/' }, h('img', { src: '/icons/brand.svg', alt: '', width: 22, height: 22 }), 'Switchyard');
    this.append(brand, this.#trail, h('span', { class: 'gap' }), ...this.#tools, this.#signOut);
  }

  /** @param {Route} route */
  trail(route) {
    const parts = [];
    if (route.name !== 'fleet') parts.push(h('a', { href: '/' }, 'Fleet'), h('a', { href: hostPath(route.host) }, route.host));
    if (route.name === 'run') parts.push(h('span', {}, route.run));
    this.#trail.replaceChildren(...parts);
  }

  /** @param {boolean} yes */
  signedIn(yes) {
    if (yes) localStorage.setItem(SIGNED_IN, '1');
    else localStorage.removeItem(SIGNED_IN);
    this.#signOut.hidden = !yes;
    if (!yes) this.#trail.replaceChildren();
  }
}

customElements.define('sy-top', TopBar);
