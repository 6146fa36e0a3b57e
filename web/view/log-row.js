/** One line of a log as an element. Number and time are generated content: no nodes, and never copied. */

import { parseAnsi } from '../model/ansi.js';
import { markOf } from '../model/cause.js';
import { count, dayOf, plural, sinceStart, timeOfDay } from '../model/format.js';
import { h, setAttribute } from './dom.js';

/** @typedef {import('../model/types.js').Line} Line */
/** @typedef {import('../net/folded-source.js').Head} Head */
/** @typedef {Parameters<typeof parseAnsi>[1]} Start what the lines before have left set */
/** @typedef {'clock' | 'utc' | 'elapsed' | 'off'} Times */
/** @typedef {{digits: number, whole: boolean, times: Times, started: string | null, ranges: import('../model/cause.js').Range[]}} RowOptions */

/** What is shown of one line, until it is opened. */
const MAX_CHARS = 4000;
const MAX_SPANS = 40;

/** @returns {HTMLElement} */
export function makeRow() {
  return h('div', { class: 'log-row' });
}

/** @param {HTMLElement} row @param {number} seq @param {Line} line @param {Start} start @param {RowOptions} options */
export function fillRow(row, seq, line, start, options) {
  const kind = markOf(options.ranges, seq, line.line);
  row.className = `log-row${line.is_error ? ' stderr' : ''}${kind ? ` ${kind}` : ''}`;
  row.dataset.seq = String(seq);
  row.dataset.gutter = gutter(seq, line, options);
  row.removeAttribute('title');
  const cut = line.line.length > MAX_CHARS && !options.whole;
  const text = cut ? line.line.slice(0, MAX_CHARS) : line.line;
  const parsed = parseAnsi(text, start);
  const [only] = parsed;
  if (parsed.length <= 1 && !only?.classes && !only?.color) row.textContent = only?.text ?? '';
  else row.replaceChildren(...spans(parsed));
  if (cut) row.append(more(line.line.length - MAX_CHARS));
}

/**
 * What folds a section, on the row it begins with. Its words are generated content: no text of the line.
 * @param {HTMLElement} row @param {Head} head
 */
export function addFold(row, head) {
  row.prepend(h('button', { type: 'button', class: 'fold', tabindex: -1, 'data-fold': head.key, 'data-label': head.glyph + head.label, 'aria-expanded': String(head.open), 'aria-label': `${head.open ? 'Fold' : 'Unfold'} ${head.label}` }));
}

/** The one row of a folded section. @param {HTMLElement} row @param {number} seq @param {Head} head @param {RowOptions} options */
export function fillHead(row, seq, head, options) {
  const label = `${head.label} · ${plural(head.lines, 'line')}`;
  if (!row.classList.contains('head') || row.dataset.seq !== String(seq)) {
    row.className = `log-row head${head.failed ? ' error' : ''}`;
    delete row.dataset.day;
    row.removeAttribute('title');
    row.dataset.seq = String(seq);
    row.replaceChildren();
    addFold(row, head);
  }
  row.dataset.gutter = gutter(seq, null, options);
  const button = row.firstElementChild;
  if (!button) return;
  setAttribute(button, 'data-fold', head.key);
  setAttribute(button, 'data-label', head.glyph + label);
  setAttribute(button, 'aria-label', `Unfold ${label}`);
}

/** Its words are generated content: no text of the line. @param {number} characters */
function more(characters) {
  const label = `Show ${count(characters)} more characters`;
  return h('button', { type: 'button', class: 'more', 'aria-label': label, 'data-label': label });
}

/** Says the date where another day begins than that of the line before. @param {HTMLElement} row @param {Line} line @param {Line | undefined} before @param {Times} times */
export function markDay(row, line, before, times) {
  const day = dayOf(line.timestamp, times === 'utc');
  const begins = before !== undefined && times !== 'off' && day !== dayOf(before.timestamp, times === 'utc');
  if (begins) row.dataset.day = day;
  else delete row.dataset.day;
}

/** A line that is not here yet. @param {HTMLElement} row @param {number} seq @param {string} text @param {RowOptions} options */
export function fillHole(row, seq, text, options) {
  row.className = 'log-row hole';
  delete row.dataset.day;
  row.dataset.seq = String(seq);
  row.dataset.gutter = gutter(seq, null, options);
  row.textContent = text;
}

/** @param {number} seq @param {Line | null} line @param {RowOptions} options */
function gutter(seq, line, { digits, times, started }) {
  const number = String(seq + 1).padStart(digits);
  if (times === 'off') return number;
  if (times !== 'elapsed') return `${number}  ${line ? timeOfDay(line.timestamp, times === 'utc') : ' '.repeat(8)}`;
  return `${number}  ${(line && started ? sinceStart(line.timestamp, started) : '').padStart(9)}`;
}

/** @param {import('../model/ansi.js').Span[]} parsed @returns {(Node | string)[]} */
function spans(parsed) {
  const shown = parsed.slice(0, MAX_SPANS);
  const rest = parsed.slice(MAX_SPANS).map((span) => span.text);
  return [...shown.map(span), rest.join('')];
}

/** @param {import('../model/ansi.js').Span} part @returns {Node | string} */
function span({ text, classes, color, background }) {
  if (!classes && !color) return text;
  const element = h('span', { class: classes }, text);
  if (color) element.style.color = color;
  if (background) element.style.backgroundColor = background;
  return element;
}
