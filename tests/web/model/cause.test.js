import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CauseLines, markOf, quote, rangeOf, rangesOf } from '../../../web/model/cause.js';

/** @typedef {import('../../../web/model/types.js').Cause} Cause */
/** @param {Partial<Cause>} rest @returns {Cause} */
const cause = (rest) => ({ kind: 'derivation', name: 'toy-1.0', summary: 'toy-1.0 failed to build (exit code 1)', from: null, to: null, line: null, ...rest });

/** A log of which lines are read by their numbers. @param {string[]} texts */
function log(texts) {
  const asked = /** @type {[number, number][]} */ ([]);
  const read = async (/** @type {number} */ from, /** @type {number} */ limit) => {
    asked.push([from, limit]);
    return texts.slice(from, from + limit).map((line, i) => ({ seq: from + i, line, timestamp: '', is_error: true }));
  };
  return { read, asked };
}

test('a cause with one number or several has a range, one with none has none', () => {
  assert.equal(rangeOf(cause({})), null);
  assert.deepEqual(rangeOf(cause({ line: 0 })), { from: 0, to: 0, line: 0, own: 'toy-1.0' });
  assert.deepEqual(rangeOf(cause({ from: 3, to: 9 })), { from: 3, to: 9, line: 3, own: 'toy-1.0' });
  assert.deepEqual(rangeOf(cause({ from: 3, to: 9, line: 7 })), { from: 3, to: 9, line: 7, own: 'toy-1.0' });
  assert.deepEqual(rangeOf(cause({ kind: 'unit', to: 9 })), { from: 9, to: 9, line: 9, own: null });
});

test('ranges are in the order of the log, and a run without causes has none', () => {
  const run = { run_id: 'r', host_id: 'a', command: 'switch', status: /** @type {const} */ ('error') };
  assert.deepEqual(rangesOf(run), []);
  assert.deepEqual(rangesOf({ ...run, cause: null }), []);
  assert.deepEqual(rangesOf({ ...run, cause: [cause({ line: 9 }), cause({}), cause({ line: 2 })] }).map(({ line }) => line), [2, 9]);
});

test('where a run tells its cause, lines stand out by their numbers, else by what they say', () => {
  const ranges = [{ from: 10, to: 20, line: 15, own: 'toy-1.0' }];
  assert.equal(markOf([], 3, 'error: no'), 'error');
  assert.equal(markOf(ranges, 3, 'error: no'), null);
  assert.equal(markOf(ranges, 3, 'warning: x'), 'warning');
  assert.equal(markOf(ranges, 12, 'plain'), 'cause');
  assert.equal(markOf(ranges, 12, 'toy-1.0> make'), 'cause');
  assert.equal(markOf(ranges, 12, 'other-2> make'), null, 'it builds at the same time');
  assert.equal(markOf(ranges, 12, 'error: no'), 'error cause');
  assert.equal(markOf(ranges, 15, 'plain'), 'error cause');
  assert.equal(markOf(ranges, 21, 'plain'), null);
});

test('steps go round through the telling lines', async () => {
  const lines = new CauseLines([{ from: 1, to: 5, line: 4, own: null }, { from: 8, to: 9, line: 9, own: null }]);
  assert.equal(lines.total, 2);
  assert.deepEqual([await lines.step(-1, 1), await lines.step(4, 1), await lines.step(9, 1)], [4, 9, 4]);
  assert.deepEqual([await lines.step(9, -1), await lines.step(4, -1)], [4, 9]);
});

test('a card quotes the last eight lines of its own, with their numbers and without the name', async () => {
  const { read } = log(Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? `other-2> ${i}` : `toy-1.0> part ${i}`)));
  const quoted = await quote(cause({ from: 10, to: 40, line: 40 }), read);
  assert.deepEqual(quoted.map(({ seq }) => seq), [29, 31, 32, 34, 35, 37, 38, 40]);
  assert.equal(quoted.at(-1)?.text, 'part 40');
});

test('the lines of a builder are its own also where nix prints its name without the version, and those of others are not', async () => {
  const texts = ["building '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-linux-modules-6.12.drv'...", 'linux-modules> CC drivers/x.o', "linux-modules> drivers/x.c:9:2: error: unknown type name 'u9'", 'other> fine', 'linux> fine', 'linux-modules> make[2]: *** [drivers/x.o] Error 1'];
  const failed = cause({ name: 'linux-modules-6.12', from: 0, to: 5, line: 2 });
  assert.deepEqual(await quote(failed, log(texts).read), [
    { seq: 1, text: 'CC drivers/x.o' }, { seq: 2, text: "drivers/x.c:9:2: error: unknown type name 'u9'" }, { seq: 5, text: 'make[2]: *** [drivers/x.o] Error 1' },
  ]);
  const ranges = [rangeOf(failed)].filter((range) => range !== null);
  assert.deepEqual(texts.map((line, seq) => markOf(ranges, seq, line)), ['cause', 'cause', 'error cause', null, null, 'error cause']);
  // Where the whole name is printed, what is printed as the short one is another's.
  const both = await quote(cause({ from: 0, to: 3, line: 2 }), log(['toy-1.0> a', 'toy> b', 'toy-1.0> c', 'toy> d']).read);
  assert.deepEqual(both.map(({ text }) => text), ['a', 'c']);
});

test('the most telling line is among the eight, wherever it lies', async () => {
  const { read, asked } = log(Array.from({ length: 5000 }, (_, i) => `line ${i}`));
  const near = await quote(cause({ kind: 'evaluation', from: 10, to: 40, line: 12 }), read);
  assert.deepEqual(near.map(({ seq }) => seq), [12, 34, 35, 36, 37, 38, 39, 40]);
  const far = await quote(cause({ kind: 'evaluation', from: 10, to: 4000, line: 12 }), read);
  assert.deepEqual(far.map(({ seq }) => seq), [12, 3994, 3995, 3996, 3997, 3998, 3999, 4000]);
  assert.ok(asked.every(([, limit]) => limit <= 1000));
  assert.deepEqual(await quote(cause({}), read), []);
});

test('lines that retention or a torn log took are no quote', async () => {
  const { read } = log([]);
  assert.deepEqual(await quote(cause({ from: 1, to: 5, line: 3 }), read), []);
});
