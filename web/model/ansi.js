/**
 * Terminal escapes to spans. Colours and weights are kept, every other escape goes, and control characters
 * are shown as their pictures, so that nothing hides in a line.
 */

import { paletteColor, readable } from './color.js';

/** @typedef {{text: string, classes: string, color: string | null}} Span */

// CSI, OSC (ended by BEL or ST), other two-character escapes.
const ESCAPE = /\x1b(?:\[([0-9:;<=>?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/g;

/** Whether the line can be shown as it is. @param {string} line */
export function isPlain(line) {
  CONTROL.lastIndex = 0;
  return !CONTROL.test(line);
}

class Style {
  /** One of the first 16. @type {number | null} */
  foreground = null;
  /** @type {string | null} */
  color = null;
  /** @type {number | null} */
  background = null;
  bold = false;
  dim = false;
  italic = false;
  underline = false;
  inverse = false;

  get classes() {
    const names = [];
    if (this.foreground !== null) names.push(`fg${this.foreground}`);
    if (this.background !== null) names.push(`bg${this.background}`);
    for (const name of /** @type {const} */ (['bold', 'dim', 'italic', 'underline', 'inverse'])) {
      if (this[name]) names.push(name);
    }
    return names.join(' ');
  }

  reset() {
    Object.assign(this, new Style());
  }

  /** @param {string} parameters of SGR */
  apply(parameters) {
    const codes = parameters.split(/[;:]/).map((code) => Number(code || 0));
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i] ?? 0;
      if (code === 38 || code === 48) i += this.#extended(code, codes.slice(i + 1));
      else this.#simple(code);
    }
  }

  /** @param {number} code */
  #simple(code) {
    if (code === 0) this.reset();
    else if (code === 1) this.bold = true;
    else if (code === 2) this.dim = true;
    else if (code === 3) this.italic = true;
    else if (code === 4) this.underline = true;
    else if (code === 7) this.inverse = true;
    else if (code === 22) this.bold = this.dim = false;
    else if (code === 23) this.italic = false;
    else if (code === 24) this.underline = false;
    else if (code === 27) this.inverse = false;
    else if (code >= 30 && code <= 37) this.#set(code - 30);
    else if (code >= 90 && code <= 97) this.#set(code - 82);
    else if (code === 39) this.#set(null);
    else if (code >= 40 && code <= 47) this.background = code - 40;
    else if (code >= 100 && code <= 107) this.background = code - 92;
    else if (code === 49) this.background = null;
  }

  /** @param {number | null} foreground */
  #set(foreground) {
    this.foreground = foreground;
    this.color = null;
  }

  /** 256 and true colour; backgrounds of that kind are left out. @param {number} code @param {number[]} rest */
  #extended(code, rest) {
    const byte = (/** @type {number | undefined} */ n) => Math.min(255, Math.max(0, n ?? 0));
    const [kind] = rest;
    if (kind === 5) {
      const n = byte(rest[1]);
      if (code === 38) {
        this.#set(n < 16 ? n : null);
        if (n >= 16) this.color = readable(paletteColor(n));
      }
      return 2;
    }
    if (kind === 2) {
      if (code === 38) {
        this.#set(null);
        this.color = readable([byte(rest[1]), byte(rest[2]), byte(rest[3])]);
      }
      return 4;
    }
    return 0;
  }
}

/** @param {string} line @returns {Span[]} */
export function parseAnsi(line) {
  /** @type {Span[]} */
  const spans = [];
  const style = new Style();
  let from = 0;
  const push = (/** @type {number} */ to) => {
    if (to > from) spans.push({ text: visible(line.slice(from, to)), classes: style.classes, color: style.color });
  };
  for (const match of line.matchAll(ESCAPE)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] === 'm') style.apply(match[1] ?? '');
  }
  push(line.length);
  return spans;
}

/** The text alone. @param {string} line */
export function stripAnsi(line) {
  return isPlain(line) ? line : visible(line.replace(ESCAPE, ''));
}

/** @param {string} text */
function visible(text) {
  return text.replace(CONTROL, (c) => (c === '\x7f' ? '␡' : String.fromCharCode(0x2400 + c.charCodeAt(0))));
}
