/** The bar at the top: brand, where we are, who we are, theme, sign out. */

import { ACCESS_PATH, hostPath } from '../model/route.js';
import { h, setAttribute, setText } from './dom.js';
import { icon } from './icons.js';

/** @typedef {import('../model/route.js').Route} Route */

/** Whether this browser signed in: a dashboard without users has nobody to sign out. */
const SIGNED_IN = 'switchyard.signed-in';

export class TopBar extends HTMLElement {
  #trail = h('nav', { class: 'trail', 'aria-label': 'Place' });
  #name = h('span', {}, 'Access');
  #me = h('a', { class: 'me', href: ACCESS_PATH }, icon('key'), this.#name);
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
    this.setAttribute('role', 'banner');
    const brand = h('a', { class: 'brand', href: '/' }, h('img', { src: '/icons/brand.svg', alt: '', width: 22, height: 22 }), 'Switchyard');
    this.append(brand, this.#trail, h('span', { class: 'gap' }), this.#me, ...this.#tools, this.#signOut);
  }

  /** @param {Route} route */
  trail(route) {
    const parts = [];
    if (route.name !== 'fleet') parts.push(h('a', { href: '/' }, 'Fleet'));
    if ('host' in route) parts.push(h('a', { href: hostPath(route.host) }, route.host));
    if (route.name === 'access') parts.push(h('span', {}, 'Access'));
    if (route.name === 'run') parts.push(h('span', {}, route.run));
    this.#trail.replaceChildren(...parts);
  }

  /** @param {string} name */
  who(name) {
    setText(this.#name, name);
    const hint = `${name}: account, access and sessions`;
    setAttribute(this.#me, 'title', hint);
    setAttribute(this.#me, 'aria-label', hint);
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
