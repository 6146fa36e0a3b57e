/**
 * A selection in a log by lines and characters: it holds lines that are not on screen, too.
 *
 * @typedef {{index: number, offset: number}} Point an offset beyond the text means its end
 * @typedef {{start: Point, end: Point}} Span
 */

/** @param {Point} a @param {Point} b */
export function comparePoints(a, b) {
  return a.index - b.index || a.offset - b.offset;
}

/** In the order of the text; null where nothing is selected. @param {Point | null} anchor @param {Point | null} focus @returns {Span | null} */
export function spanOf(anchor, focus) {
  if (!anchor || !focus) return null;
  const order = comparePoints(anchor, focus);
  if (order === 0) return null;
  return order < 0 ? { start: anchor, end: focus } : { start: focus, end: anchor };
}

/** The part of a span that lies in some lines. @param {Span} span @param {number} first @param {number} end exclusive @returns {Span | null} */
export function clipSpan(span, first, end) {
  if (end <= first || span.end.index < first || span.start.index >= end) return null;
  const start = span.start.index < first ? { index: first, offset: 0 } : span.start;
  const last = span.end.index >= end ? { index: end - 1, offset: Infinity } : span.end;
  return { start, end: last };
}

/** The selected text. @param {Span} span @param {string[]} lines the text of every line it touches */
export function spanText({ start, end }, lines) {
  return lines
    .map((line, i) => {
      const from = i === 0 ? Math.min(start.offset, line.length) : 0;
      const to = i === lines.length - 1 ? Math.min(end.offset, line.length) : line.length;
      return line.slice(from, to);
    })
    .join('\n');
}
