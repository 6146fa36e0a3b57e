import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtName, derivationOf, Output, outputQuery, withoutVersion } from '../../../web/model/derivation.js';
import { Finder } from '../../../web/model/find.js';
import { highlighter } from '../../../web/model/highlight.js';
import { formatPlace, parsePlace } from '../../../web/model/place.js';
import { clipSpan, spanOf, spanText } from '../../../web/model/selection.js';

const QUERY = { text: 'x', regex: false, matchCase: false };

/** A dashboard that has matches in these lines. @param {number[]} seqs */
function dashboard(seqs) {
  const asked = { times: 0 };
  const ask = async (/** @type {unknown} */ _q, /** @type {number} */ from, /** @type {number} */ limit) => {
    asked.times++;
    return { total: seqs.length, matches: seqs.filter((seq) => seq >= from).slice(0, limit).map((seq) => ({ seq })) };
  };
  return { ask, asked };
}

test('steps go from match to match and around the end, with the rank of each', async () => {
  const finder = new Finder(dashboard([3, 50, 700]).ask);
  await finder.search(QUERY);
  assert.equal(finder.total, 3);
  assert.equal(await finder.step(3, 1, 1000), 50);
  assert.equal(finder.rank(50), 2);
  assert.equal(await finder.step(700, 1, 1000), 3);
  assert.equal(await finder.step(3, -1, 1000), 700);
  assert.equal(await finder.step(60, -1, 1000), 50);
  const nothing = new Finder(dashboard([]).ask);
  await nothing.search(QUERY);
  assert.equal(nothing.total, 0);
  assert.equal(await nothing.step(0, 1, 1000), null);
});

test('where there are more matches than can be held, every step is right and no rank is invented', async () => {
  const seqs = Array.from({ length: 300_000 }, (_, i) => i * 3);
  const { ask } = dashboard(seqs);
  const finder = new Finder(ask);
  await finder.search(QUERY);
  assert.equal(finder.total, 300_000);
  assert.equal(finder.complete, false);
  assert.equal(finder.rank(30), 11);
  assert.equal(await finder.step(600_000, 1, 900_000), 600_003);
  assert.equal(finder.rank(600_003), null);
  assert.equal(await finder.step(600_003, 1, 900_000), 600_006);
  assert.equal(await finder.step(600_003, -1, 900_000), 600_000);
  assert.equal(await finder.step(897_000, -1, 900_000), 896_997);
  assert.equal(await finder.step(0, -1, 900_000), 899_997);
  assert.equal(await finder.step(899_997, 1, 900_000), 0);
});

test('where enough places are known, a log that grows is only counted', async () => {
  const seqs = Array.from({ length: 80_000 }, (_, i) => i);
  const { ask, asked } = dashboard(seqs);
  const finder = new Finder(ask);
  await finder.search(QUERY);
  assert.equal(finder.seqs.length, 50_000);
  seqs.push(90_000);
  const before = asked.times;
  await finder.more();
  assert.deepEqual([finder.total, finder.seqs.length, asked.times - before], [80_001, 50_000, 1]);
});

test('matches that lie far apart and far from the start are found backwards, too', async () => {
  const seqs = [...Array.from({ length: 60_000 }, (_, i) => i), 5_000_000, 9_000_000];
  const finder = new Finder(dashboard(seqs).ask);
  await finder.search(QUERY);
  assert.equal(await finder.step(5_000_000, 1, 10_000_000), 9_000_000);
  assert.equal(await finder.step(9_000_000, -1, 10_000_000), 5_000_000);
  assert.equal(await finder.step(5_000_000, -1, 10_000_000), 59_999);
});

test('a log that grows is searched on, and a late answer to an older search is dropped', async () => {
  const seqs = [1, 2];
  const { ask } = dashboard(seqs);
  const finder = new Finder(ask);
  await finder.search(QUERY);
  seqs.push(80);
  await finder.more();
  assert.deepEqual([finder.total, finder.seqs], [3, [1, 2, 80]]);
  const first = finder.search(QUERY);
  seqs.length = 1;
  await finder.search({ ...QUERY, text: 'y' });
  await first;
  assert.deepEqual([finder.total, finder.seqs], [1, [1]]);
});

test('a search that fails says why', async () => {
  const finder = new Finder(async () => {
    throw new Error('`q` is no expression');
  });
  await finder.search(QUERY);
  assert.equal(finder.problem, '`q` is no expression');
  assert.equal(finder.total, null);
});

test('what is searched is marked in the text, and what is no expression here marks nothing', () => {
  const spans = (/** @type {Partial<import('../../../web/model/find.js').Query>} */ query, /** @type {string} */ text) => highlighter({ ...QUERY, ...query })?.(text);
  assert.deepEqual(spans({ text: 'a.c' }, 'a.c abc A.C'), [[0, 3], [8, 11]]);
  assert.deepEqual(spans({ text: 'a.c', regex: true, matchCase: true }, 'a.c abc A.C'), [[0, 3], [4, 7]]);
  assert.deepEqual(spans({ text: 'x*', regex: true }, 'aaa'), []);
  assert.equal(highlighter({ text: '(?x) a', regex: true, matchCase: true }), null);
});

test('an address holds what is seen, and what is no address of ours means nothing', () => {
  const place = parsePlace('?q=a%20b&regex&wrap&times=off&only=nginx-1.29', '#L140-L120');
  assert.deepEqual(place, { q: 'a b', regex: true, matchCase: false, wrap: true, times: 'off', only: 'nginx-1.29', fold: [], lines: [119, 139], firstError: false });
  assert.equal(formatPlace(place), '?q=a%20b&regex&wrap&times=off&only=nginx-1.29#L120-L140');
  assert.equal(formatPlace(parsePlace('', '#L7')), '#L7');
  assert.deepEqual(parsePlace('?times=never', '#L0').lines, null);
  assert.equal(parsePlace('', '#first-error').firstError, true);
  assert.equal(formatPlace(parsePlace('?times=utc', '')), '?times=utc');
  assert.equal(formatPlace(parsePlace('?times=never', '#L1-')), '');
});

test('a selection is in the order of the text, whichever way it was made, and may begin and end within lines', () => {
  const [a, b] = [{ index: 2, offset: 3 }, { index: 4, offset: 1 }];
  assert.deepEqual(spanOf(b, a), { start: a, end: b });
  assert.equal(spanOf(a, { ...a }), null);
  const span = { start: a, end: b };
  assert.equal(spanText(span, ['0123456', 'middle', 'xyz']), '3456\nmiddle\nx');
  assert.equal(spanText({ start: { index: 1, offset: 1 }, end: { index: 1, offset: 3 } }, ['abcd']), 'bc');
  assert.deepEqual(clipSpan(span, 3, 10), { start: { index: 3, offset: 0 }, end: b });
  assert.deepEqual(clipSpan(span, 0, 3), { start: a, end: { index: 2, offset: Infinity } });
  assert.equal(clipSpan(span, 5, 10), null);
});

test('a line of a derivation tells its name, and its output is found by it alone', () => {
  assert.equal(derivationOf('nginx-1.29> checking'), 'nginx-1.29');
  assert.equal(derivationOf('building nginx> x'), null);
  assert.equal(builtName(`building '/nix/store/${'a'.repeat(32)}-unit-nginx.service.drv'...`), 'unit-nginx.service');
  assert.equal(outputQuery('g++-1.0').text, '^g\\+\\+-1\\.0> ');
});

test('a name loses its version as nix -L has it, and the output is found by the one that is printed', async () => {
  for (const [name, short] of /** @type {const} */ ([['linux-modules-6.12', 'linux-modules'], ['unit-nginx.service', 'unit-nginx.service'], ['nixos-system-web-26.05.1', 'nixos-system-web'], ['x-0', 'x'], ['x', 'x']])) assert.equal(withoutVersion(name), short);
  const found = async (/** @type {string} */ name, /** @type {string[]} */ lines) => {
    const output = new Output(name, async ({ text }, from, limit) => {
      const all = lines.map((line, seq) => ({ seq, line })).filter(({ line }) => new RegExp(text).test(line));
      return { total: all.length, matches: all.filter(({ seq }) => seq >= from).slice(0, limit) };
    });
    const first = await output.find(0, 1);
    const rest = await output.find((first.matches[0]?.seq ?? -1) + 1, 9);
    return [...first.matches, ...rest.matches].map(({ seq }) => seq);
  };
  assert.deepEqual(await found('toy-1.0', ['toy> a', 'other> b', 'toy> c', 'toys> d']), [0, 2]);
  assert.deepEqual(await found('toy-1.0', ['toy> a', 'toy-1.0> b', 'toy> c', 'toy-1.0> d']), [1, 3]);
  assert.deepEqual(await found('toy-1.0', ['other> b']), []);
});
