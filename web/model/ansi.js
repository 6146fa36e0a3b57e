/**
 * Terminal escapes to spans. Colours and weights are kept, every other escape goes. What a terminal does not show
 * is shown: control characters as their pictures, invisible ones and those that turn the direction of text by
 * their names, so that nothing hides in a line.
 */

import { derivationOf } from './derivation.js';
import { clampContrast, css, paletteColor, readable } from './color.js';

/** @typedef {import('./color.js').Rgb} Rgb */
/** @typedef {{text: string, classes: string, color: string | null, background: string | null}} Span */

// CSI; strings up to BEL or ST (OSC, DCS, SOS, PM, APC); other escapes. Of a string without an end this is only the beginning.
const ESCAPE = /\x1b(?:\[([ -?]*)([@-~]?)|([\]PX^_])(?:([^\x07\x1b]*)(?:\x07|\x1b\\))?|[ -/]*[0-~])/g;
const STRINGS = { ']': 'OSC', P: 'DCS', X: 'SOS', '^': 'PM', _: 'APC' };
/** Titles, folders, links, progress and marks of shells: these hide no text. */
const QUIET = /^(?:[0-2]|[7-9]|133|3008);/;

const ASCII = /^[\t -~]*$/;
// Controls, formats, separators, fillers and variation selectors. Signs of Arabic and Syriac numbers are seen.
const HIDDEN =
  /[\x00-\x08\x0a-\x1f\x7f-\x9f]|(?![\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2])[\p{Cf}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0d\u{e0100}-\u{e01ef}]|(?<=[\ufe00-\ufe0f])[\ufe0e\ufe0f]/gu;
const EMOJI_BEFORE = /\p{Extended_Pictographic}[\ufe0f\u{1f3fb}-\u{1f3ff}]?$/u;
const EMOJI = /^\p{Extended_Pictographic}/u;
/** Abbreviations of the Unicode standard; the rest by their numbers. @type {Record<number, string>} */
const NAMES = {
  0xad: 'SHY', 0x61c: 'ALM', 0x200b: 'ZWSP', 0x200c: 'ZWNJ', 0x200d: 'ZWJ', 0x200e: 'LRM', 0x200f: 'RLM', 0x2028: 'LS', 0x2029: 'PS',
  0x202a: 'LRE', 0x202b: 'RLE', 0x202c: 'PDF', 0x202d: 'LRO', 0x202e: 'RLO', 0x2060: 'WJ', 0x2066: 'LRI', 0x2067: 'RLI', 0x2068: 'FSI', 0x2069: 'PDI', 0xfeff: 'BOM',
};

/** Whether the line can be shown as it is. @param {string} line */
export function isPlain(line) {
  return ASCII.test(line) || line.search(HIDDEN) < 0;
}

/** What a terminal would draw the next character with. */
class Style {
  /** One of the first 16, or a colour. @type {number | Rgb | null} */
  foreground = null;
  /** @type {number | Rgb | null} */
  background = null;
  bold = false;
  dim = false;
  italic = false;
  underline = false;
  inverse = false;

  /** @param {string} text @returns {Span} */
  span(text) {
    const names = [];
    let { foreground: ink, background: ground } = this;
    if (this.inverse) {
      if (ink === null) names.push('inverse');
      [ink, ground] = [ground, ink];
    }
    if (typeof ink === 'number') names.push(`fg${ink}`);
    if (typeof ground === 'number') names.push(`bg${ground}`);
    for (const name of /** @type {const} */ (['bold', 'dim', 'italic', 'underline'])) if (this[name]) names.push(name);
    if (ground !== null && typeof ground !== 'number') {
      const wanted = ink !== null && typeof ink !== 'number' ? ink : /** @type {Rgb} */ ([255, 255, 255]);
      return { text, classes: names.join(' '), color: css(clampContrast(wanted, ground)), background: css(ground) };
    }
    const own = ink !== null && typeof ink !== 'number' && ground === null && !names.includes('inverse');
    return { text, classes: names.join(' '), color: own ? readable(/** @type {Rgb} */ (ink)) : null, background: null };
  }

  /** @param {string} parameters of SGR: with colons those of one code, with semicolons all of them */
  apply(parameters) {
    const codes = parameters.split(';').map((code) => code.split(':').map((part) => (part === '' ? NaN : Number(part))));
    for (let i = 0; i < codes.length; i++) {
      const [code = 0, ...own] = codes[i] ?? [];
      if (code !== 38 && code !== 48 && code !== 58) this.#simple(code || 0, own[0]);
      else if (own.length > 0) this.#color(code, own[0] === 2 && own.length > 4 ? [2, ...own.slice(2)] : own);
      else {
        const rest = codes.slice(i + 1, i + 5).map(([part = 0]) => part);
        this.#color(code, rest);
        i += rest[0] === 5 ? 2 : rest[0] === 2 ? 4 : 0;
      }
    }
  }

  /** @param {number} code @param {number} [kind] behind its colon */
  #simple(code, kind) {
    if (code === 0) Object.assign(this, new Style());
    else if (code === 1) this.bold = true;
    else if (code === 2) this.dim = true;
    else if (code === 3) this.italic = true;
    else if (code === 4 || code === 21) this.underline = kind !== 0;
    else if (code === 7) this.inverse = true;
    else if (code === 22) this.bold = this.dim = false;
    else if (code === 23) this.italic = false;
    else if (code === 24) this.underline = false;
    else if (code === 27) this.inverse = false;
    else if (code >= 30 && code <= 37) this.foreground = code - 30;
    else if (code >= 90 && code <= 97) this.foreground = code - 82;
    else if (code === 39) this.foreground = null;
    else if (code >= 40 && code <= 47) this.background = code - 40;
    else if (code >= 100 && code <= 107) this.background = code - 92;
    else if (code === 49) this.background = null;
  }

  /** 256 and true colour. Of the colour of an underline nothing is shown. @param {number} code @param {number[]} parts */
  #color(code, [kind, a, b, c]) {
    const byte = (/** @type {number | undefined} */ n) => Math.min(255, Math.max(0, n || 0));
    const n = byte(a);
    const color = kind === 5 ? (n < 16 ? n : paletteColor(n)) : kind === 2 ? /** @type {Rgb} */ ([n, byte(b), byte(c)]) : null;
    if (color === null) return;
    if (code === 38) this.foreground = color;
    else if (code === 48) this.background = color;
  }
}

/** Nothing set. */
const PLAIN = new Style();

/** @param {Style} style */
function isUnset({ foreground, background, bold, dim, italic, underline, inverse }) {
  return foreground === null && background === null && !(bold || dim || italic || underline || inverse);
}

/** @param {string} line @param {Style} [start] what the lines before have left set @returns {Span[]} */
export function parseAnsi(line, start = PLAIN) {
  /** @type {Span[]} */
  const spans = [];
  let style = PLAIN;
  let from = 0;
  const push = (/** @type {number} */ to) => {
    if (to <= from) return;
    for (const { text, name } of pieces(line.slice(from, to))) {
      spans.push(name ? box(name) : style.span(text));
    }
    from = to;
  };
  if (start !== PLAIN) {
    // The name of the derivation is nix's own word.
    push((derivationOf(line)?.length ?? -2) + 2);
    style = start;
  }
  for (const match of line.matchAll(ESCAPE)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] === 'm') {
      style = Object.assign(new Style(), style);
      style.apply(match[1] ?? '');
    }
    const name = hiddenString(match);
    if (name) spans.push(box(name));
  }
  push(line.length);
  return spans;
}

/** The text alone. @param {string} line */
export function stripAnsi(line) {
  return isPlain(line) ? line : parseAnsi(line).map(({ text }) => text).join('');
}

/**
 * Any text as it is shown, of one line or more: without escapes, and what would be hidden by its name.
 * @param {string} text
 */
export function shownText(text) {
  return ASCII.test(text) ? text : text.split('\n').map(stripAnsi).join('\n');
}

/**
 * A name that is of plain letters where it is honest: the numbers of all others are shown, since those that look like
 * plain ones, or are written from right to left, could pass for another name.
 * @param {string} name
 */
export function plainName(name) {
  return name.replace(/[^ -~]/gu, (found) => `[${codePoint(found)}]`);
}

/** `U+202E` @param {string} character */
function codePoint(character) {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The name of a string that has no end, or may hide text. @param {ArrayLike<any>} match of ESCAPE */
function hiddenString({ 3: kind, 4: payload }) {
  return kind && !(kind === ']' && payload !== undefined && QUIET.test(payload)) ? STRINGS[/** @type {keyof typeof STRINGS} */ (kind)] : '';
}

/** @param {string} name @returns {Span} */
function box(name) {
  return { text: `[${name}]`, classes: 'box', color: null, background: null };
}

/** A text in parts, hidden characters as their names. @param {string} text @returns {{text: string, name: string}[]} */
function pieces(text) {
  if (isPlain(text)) return [{ text, name: '' }];
  const parts = [];
  let plain = '';
  let from = 0;
  for (const { 0: found, index } of text.matchAll(HIDDEN)) {
    plain += text.slice(from, index);
    from = index + found.length;
    const code = found.codePointAt(0) ?? 0;
    if (code < 0x20) plain += String.fromCharCode(0x2400 + code);
    else if (code === 0x7f) plain += '␡';
    else if (code === 0x200d && EMOJI.test(text.slice(from, from + 2)) && EMOJI_BEFORE.test(text.slice(Math.max(0, index - 4), index))) plain += found;
    else {
      if (plain) parts.push({ text: plain, name: '' });
      plain = '';
      parts.push({ text: '', name: NAMES[code] ?? codePoint(found) });
    }
  }
  plain += text.slice(from);
  if (plain) parts.push({ text: plain, name: '' });
  return parts;
}

/** Several derivations and both streams write at once: so many of them may leave colours set. */
const MAX_OPEN = 32;

/** What is set at the beginning of each line of a page, by the lines before it: of the same stream and derivation. */
export class CarriedStyles {
  /** @type {Style[]} */
  #starts = [];
  /** @type {Map<string, Style>} */
  #open = new Map();

  get length() {
    return this.#starts.length;
  }

  /** The next line. @param {import('./types.js').Line} line */
  push({ line, is_error }) {
    const escapes = line.includes('\x1b');
    if (this.#open.size === 0 && !escapes) return this.#starts.push(PLAIN);
    const writer = `${is_error} ${derivationOf(line)}`;
    const start = this.#open.get(writer) ?? PLAIN;
    this.#starts.push(start);
    if (!escapes) return;
    const end = Object.assign(new Style(), start);
    for (const { 1: parameters, 2: final } of line.matchAll(ESCAPE)) if (final === 'm') end.apply(parameters ?? '');
    if (isUnset(end)) this.#open.delete(writer);
    else if (this.#open.size < MAX_OPEN) this.#open.set(writer, end);
  }

  /** @param {number} i */
  at(i) {
    return this.#starts[i] ?? PLAIN;
  }
}
