/** Where in a line that is shown the searched text is. Which lines match is for the dashboard to say. */

/** @typedef {import('./find.js').Query} Query */

/** Enough for what fits on a screen. */
const MAX_SPANS = 100;

/**
 * Gives the beginnings and ends in a text. An expression that means nothing here marks nothing.
 * @param {Query | null} query @returns {((text: string) => [number, number][]) | null}
 */
export function highlighter(query) {
  if (!query || query.text === '') return null;
  let expression;
  try {
    const pattern = query.regex ? query.text : query.text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    expression = new RegExp(pattern, query.matchCase ? 'gu' : 'giu');
  } catch {
    return null;
  }
  return (text) => {
    /** @type {[number, number][]} */
    const spans = [];
    for (const { 0: match, index } of text.matchAll(expression)) {
      if (match.length > 0) spans.push([index, index + match.length]);
      if (spans.length >= MAX_SPANS) break;
    }
    return spans;
  };
}
