/**
 * What an address says of a run's log: `?q=hash&regex&case&wrap&times=off&only=nginx-1.29#L120-L140`. Lines in
 * it count from 1 and never change; in here they count from 0.
 *
 * @typedef {object} Place
 * @property {string} q what is searched; empty for nothing
 * @property {boolean} regex
 * @property {boolean} matchCase
 * @property {boolean} wrap
 * @property {'clock' | 'utc' | 'elapsed' | 'off'} times
 * @property {string} only the derivation whose output alone is shown; empty for everything
 * @property {string[]} fold sections that are folded: `:0` for the first phase, or the name of a derivation
 * @property {[number, number] | null} lines the first and the last one that are marked
 * @property {boolean} firstError
 */

/** What an address means that says nothing of it: on a phone lines are wrapped and have no times. */
export const DEFAULTS = { wrap: false, times: /** @type {Place['times']} */ ('clock') };

/** @param {string} search @param {string} hash @returns {Place} */
export function parsePlace(search, hash) {
  const query = new URLSearchParams(search);
  const times = query.get('times');
  return {
    q: query.get('q') ?? '',
    regex: query.has('regex'),
    matchCase: query.has('case'),
    wrap: query.has('wrap') ? query.get('wrap') !== 'off' : DEFAULTS.wrap,
    times: times === 'elapsed' || times === 'off' || times === 'clock' || times === 'utc' ? times : DEFAULTS.times,
    only: query.get('only') ?? '',
    fold: (query.get('fold') ?? '').split(',').filter(Boolean),
    lines: parseLines(hash),
    firstError: hash === '#first-error',
  };
}

/** @param {string} hash @returns {[number, number] | null} */
function parseLines(hash) {
  const found = hash.match(/^#L([1-9]\d{0,14})(?:-L?([1-9]\d{0,14}))?$/);
  if (!found) return null;
  const [a, b] = [Number(found[1]) - 1, Number(found[2] ?? found[1]) - 1];
  return [Math.min(a, b), Math.max(a, b)];
}

/** The address behind the path. @param {Place} place */
export function formatPlace(place) {
  const parts = [];
  if (place.q) parts.push(`q=${encodeURIComponent(place.q)}`);
  if (place.q && place.regex) parts.push('regex');
  if (place.q && place.matchCase) parts.push('case');
  // What is only usual here is said too: a link shows another person the same.
  if (place.wrap) parts.push('wrap');
  else if (DEFAULTS.wrap) parts.push('wrap=off');
  if (place.times !== 'clock' || DEFAULTS.times !== 'clock') parts.push(`times=${place.times}`);
  if (place.only) parts.push(`only=${encodeURIComponent(place.only)}`);
  if (place.fold.length > 0) parts.push(`fold=${place.fold.map(encodeURIComponent).join(',').replaceAll('%3A', ':')}`);
  return (parts.length > 0 ? `?${parts.join('&')}` : '') + linesHash(place.lines);
}

/** `#L120`, `#L120-L140` @param {[number, number] | null} lines */
function linesHash(lines) {
  if (!lines) return '';
  const [a, b] = lines;
  return a === b ? `#L${a + 1}` : `#L${a + 1}-L${b + 1}`;
}
