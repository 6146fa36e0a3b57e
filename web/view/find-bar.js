/** What is searched in a log, how often it is there, and the steps from one place to the next. */

import { count, plural } from '../model/format.js';
import { h, setAttribute, setText } from './dom.js';
import { icon } from './icons.js';

/** @typedef {import('../model/find.js').Query} Query */

/** Typing goes on; the dashboard need not search for every letter. */
const PATIENCE_MS = 200;

export class FindBar extends HTMLElement {
  /** @type {(query: Query | null) => void} */
  onQuery = () => {};
  /** @type {(direction: 1 | -1) => void} */
  onStep = () => {};
  onClose = () => {};
  #text = h('input', { type: 'search', placeholder: 'Search the whole log', 'aria-label': 'Search the whole log', spellcheck: 'false', autocapitalize: 'none', maxlength: 500 });
  #regex = option('.*', 'Regular expression', () => this.#changed());
  #case = option('Aa', 'Match case', () => this.#changed());
  #result = h('output', { class: 'find-result', 'aria-live': 'polite' });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asked = '';

  constructor() {
    super();
    this.hidden = true;
  }

  connectedCallback() {
    if (this.childElementCount > 0) return;
    this.setAttribute('role', 'search');
    this.#text.addEventListener('input', () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#changed(), PATIENCE_MS);
    });
    this.addEventListener('keydown', (event) => this.#keydown(event));
    const step = (/** @type {1 | -1} */ by, /** @type {Element} */ label, /** @type {string} */ help) =>
      h('button', { type: 'button', class: 'tool', title: help, 'aria-label': help, onclick: () => this.onStep(by) }, label);
    this.append(
      this.#text, this.#regex, this.#case,
      step(-1, icon('up'), 'Previous match (N)'), step(1, icon('down'), 'Next match (n)'), this.#result,
      h('span', { class: 'gap' }),
      h('button', { type: 'button', class: 'tool', title: 'Close the search (Esc)', 'aria-label': 'Close the search', onclick: () => this.onClose() }, icon('close')),
    );
  }

  /** @returns {Query} */
  get query() {
    return { text: this.#text.value, regex: isOn(this.#regex), matchCase: isOn(this.#case) };
  }

  /** @param {Query} query */
  set query({ text, regex, matchCase }) {
    this.#text.value = text;
    setAttribute(this.#regex, 'aria-pressed', String(regex));
    setAttribute(this.#case, 'aria-pressed', String(matchCase));
    this.#asked = JSON.stringify(this.query);
  }

  open() {
    this.hidden = false;
    this.#text.focus();
    this.#text.select();
  }

  /** @param {import('../model/find.js').Finder} finder @param {number | null} current */
  show({ query, total, problem, rank }, current) {
    this.#result.classList.toggle('wrong', problem !== '' || total === 0);
    setText(this.#result, problem || (!query ? '' : total === null ? 'Searching…' : total === 0 ? 'No matches' : this.#matches(total, current)));
  }

  /** Gives the rank of a match. @type {(seq: number) => number | null} */
  rank = () => null;

  /** @param {number} total @param {number | null} current */
  #matches(total, current) {
    const rank = current === null ? null : this.rank(current);
    return rank === null ? plural(total, 'matching line') : `${count(rank)} of ${count(total)}`;
  }

  #changed() {
    clearTimeout(this.#timer);
    const asked = JSON.stringify(this.query);
    if (asked === this.#asked) return;
    this.#asked = asked;
    this.onQuery(this.query.text === '' ? null : this.query);
  }

  /** @param {KeyboardEvent} event */
  #keydown(event) {
    event.stopPropagation();
    if (event.key === 'Escape') this.onClose();
    if (event.key !== 'Enter' || event.target !== this.#text) return;
    event.preventDefault();
    this.#changed();
    this.onStep(event.shiftKey ? -1 : 1);
  }
}

/** @param {string} label @param {string} help @param {() => void} changed */
function option(label, help, changed) {
  const button = h('button', { type: 'button', class: 'tool option', title: help, 'aria-label': help, 'aria-pressed': 'false' }, label);
  button.addEventListener('click', () => {
    setAttribute(button, 'aria-pressed', String(!isOn(button)));
    changed();
  });
  return button;
}

/** @param {Element} button */
function isOn(button) {
  return button.getAttribute('aria-pressed') === 'true';
}

customElements.define('sy-find', FindBar);
