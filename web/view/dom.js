/**
 * Small helpers to make and change elements. Text is always text, and nothing in it hides or turns the rest around:
 * whoever wrote it, it is made safe to read here, once for every place of the page.
 */

import { shownText } from '../model/ansi.js';
import { dateTime, exactTime } from '../model/format.js';

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * An element with attributes, handlers (`onclick`) and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, any>} [attributes] @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else setAttribute(element, name, value);
  }
  element.append(...present(children));
  return element;
}

/** @param {Child[]} children @returns {(Node | string)[]} */
export function present(children) {
  const there = /** @type {(Node | string)[]} */ (children.filter((child) => child != null && child !== false));
  return there.map((child) => (typeof child === 'string' ? shownText(child) : child));
}

/** Puts these in the place of what is in the element. @param {Element} element @param {...Child} children */
export function setChildren(element, ...children) {
  element.replaceChildren(...present(children));
}

/** Writes only what changed, so that nothing is laid out again for nothing. @param {Element} element @param {string} text */
export function setText(element, text) {
  const shown = shownText(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Attributes whose value somebody reads or hears. */
const READ = /^(title|alt|placeholder|aria-|data-label)/;

/** @param {Element} element @param {string} name @param {string | number | boolean | null | undefined} value */
export function setAttribute(element, name, value) {
  if (value == null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const given = value === true ? '' : String(value);
  const text = READ.test(name) ? shownText(given) : given;
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/**
 * Shows a time as a person says it, and exactly in the tooltip, with the zone and that of UTC.
 * @param {Element} element @param {string | null | undefined} timestamp @param {string} [text] what is shown; the date and the time of day if it is left out
 */
export function setTime(element, timestamp, text = dateTime(timestamp ?? '')) {
  setText(element, text);
  setHint(element, exactTime(timestamp));
  if (element.localName === 'time') setAttribute(element, 'datetime', timestamp);
}

/** A `<time>` of its own. @param {string} timestamp */
export function timeOf(timestamp) {
  const element = h('time');
  setTime(element, timestamp);
  return element;
}

/** What to do with a key, of the Escape key alone. @param {(event: Event) => void} escaped @returns {(event: KeyboardEvent) => void} */
export function escapes(escaped) {
  return (event) => {
    if (event.key === 'Escape') escaped(event);
  };
}

/** Gives the element an accessible name and a tooltip. @param {Element} element @param {string} text */
export function setHint(element, text) {
  setAttribute(element, 'title', text || null);
}

/** The place in a text that is drawn at a point of the window. @param {number} x @param {number} y @returns {{node: Node, offset: number} | null} */
export function caretAt(x, y) {
  const range = document.caretRangeFromPoint?.(x, y);
  if (range) return { node: range.startContainer, offset: range.startOffset };
  const position = document.caretPositionFromPoint?.(x, y);
  return position ? { node: position.offsetNode, offset: position.offset } : null;
}

/** Calls `draw` once before the next frame, however often it is asked. @param {() => void} draw */
export function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
