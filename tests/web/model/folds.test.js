import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Folds } from '../../../web/model/folds.js';
import { phaseRows } from '../../../web/model/phases.js';
import { formatPlace, parsePlace } from '../../../web/model/place.js';

/** Phases that begin with these lines. @param {...number} seqs */
function phases(...seqs) {
  const started = '2026-01-02T10:00:00.000Z';
  return phaseRows(/** @type {any} */ ({ status: 'ok', completed: started, phases: seqs.map((seq, i) => ({ phase: ['evaluation', 'download', 'building', 'activation'][i % 4], seq, started })) }), 0);
}

test('a folded phase is one row, its lines are known all the same, and what was not folded stays as it is', () => {
  const folds = new Folds();
  folds.setPhases(phases(2, 10, 10, 50));
  assert.deepEqual(folds.phases.map(({ key, glyph, label }) => [key, glyph + label]), [[':0', '🔄 Evaluating'], [':2', '🔨 Building'], [':3', '⚡ Activating']], 'a phase without lines has nothing to fold');
  assert.equal(folds.rows(100), 100);
  folds.foldPhase(':2');
  assert.equal(folds.rows(100), 61);
  assert.deepEqual([0, 9, 10, 11].map((index) => folds.seqOf(index)), [0, 9, 10, 50]);
  assert.deepEqual([9, 10, 30, 49, 50, 99].map((seq) => folds.indexOf(seq)), [9, 10, 10, 10, 11, 60]);
  assert.equal(folds.headAt(10)?.key, ':2');
  assert.equal(folds.headAt(11), null);
  assert.deepEqual([9, 10, 30, 50].map((seq) => folds.isHidden(seq)), [false, true, true, false]);
  const head = folds.headAt(10);
  assert.equal(head && folds.lines(head, 100), 40);
  folds.reveal(30);
  assert.equal(folds.rows(100), 100);
});

test('the last phase grows while it is folded, and ends where the next one begins', () => {
  const folds = new Folds();
  folds.setPhases(phases(0, 5));
  folds.foldPhase(':1');
  assert.deepEqual([5, 6, 7, 1000].map((total) => folds.rows(total)), [5, 6, 6, 6]);
  assert.equal(folds.indexOf(999), 5);
  assert.equal(folds.setPhases(phases(0, 5)), false);
  assert.equal(folds.setPhases(phases(0, 5, 800)), true);
  assert.equal(folds.rows(1000), 6 + 200);
  assert.equal(folds.seqOf(6), 800);
});

test('the output of a derivation is folded wherever its lines are, and new lines of it as they come', () => {
  const folds = new Folds();
  folds.setPhases(phases(0, 20));
  folds.foldOutput('nginx-1.29', [3, 5, 6, 22]);
  assert.deepEqual(Array.from({ length: folds.rows(24) }, (_, index) => folds.seqOf(index)), [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23]);
  assert.equal(folds.headAt(3)?.label, 'nginx-1.29');
  folds.came(23, 'nginx-1.29> more');
  folds.came(24, 'other-1> more');
  folds.came(22, 'nginx-1.29> known already');
  assert.equal(folds.rows(25), 21);
  assert.equal(folds.seqOf(20), 24);
  // In a phase that is folded it has no head; in the next one its first line is one.
  folds.foldPhase(':0');
  assert.equal(folds.headAt(22)?.label, 'nginx-1.29');
  assert.deepEqual(Array.from({ length: folds.rows(25) }, (_, index) => folds.seqOf(index)), [0, 20, 21, 22, 24]);
});

test('rows and lines lead to each other whatever is folded', () => {
  // A generator with a seed, so that a failure comes again.
  let seed = 7;
  const random = (/** @type {number} */ below) => (seed = (seed * 48271) % 2147483647) % below;
  for (let round = 0; round < 300; round++) {
    const total = 1 + random(80);
    const folds = new Folds();
    const starts = Array.from({ length: random(5) }, () => random(total)).sort((a, b) => a - b);
    folds.setPhases(phases(...starts));
    const closed = folds.phases.filter(() => random(2) === 0);
    for (const { key } of closed) folds.foldPhase(key);
    const outputs = ['a-1', 'b-2'].map(() => Array.from({ length: total }, (_, seq) => seq).filter(() => random(4) === 0));
    const own = outputs.map((seqs, i) => seqs.filter((seq) => i === 0 || !outputs[0]?.includes(seq)));
    for (const [i, seqs] of own.entries()) if (random(2) === 0) folds.foldOutput(['a-1', 'b-2'][i] ?? '', seqs);
    const named = folds.keys.filter((key) => !key.startsWith(':')).map((key) => own[key === 'a-1' ? 0 : 1] ?? []);
    const inClosed = (/** @type {number} */ seq) => closed.find(({ from, end }) => seq >= from && seq < end);
    const shown = Array.from({ length: total }, (_, seq) => seq).filter((seq) => {
      const phase = inClosed(seq);
      if (phase) return phase.from === seq;
      return named.every((seqs) => !seqs.includes(seq) || seqs.find((other) => !inClosed(other)) === seq);
    });
    assert.equal(folds.rows(total), shown.length, `round ${round}`);
    for (const [index, seq] of shown.entries()) {
      assert.equal(folds.seqOf(index), seq, `round ${round}, row ${index}`);
      assert.equal(folds.indexOf(seq), index, `round ${round}, line ${seq}`);
    }
    for (let seq = 0; seq < total; seq++) assert.equal(folds.indexOf(seq), shown.filter((other) => other <= seq).length - 1, `round ${round}, line ${seq}`);
  }
});

test('a line that comes to a long folded derivation costs as much as one that comes to a short one', () => {
  /** How often the lines are read while so many come to so many. @param {number} held */
  const readsFor = (held) => {
    let reads = 0;
    const lines = Array.from({ length: held }, (_, i) => 2 * i);
    const folds = new Folds();
    folds.foldOutput('linux-6.12', new Proxy(lines, { get: (array, key) => (reads++, Reflect.get(array, key)) }));
    assert.equal(folds.rows(2 * held), held + 1);
    reads = 0;
    for (let seq = 2 * held; seq < 2 * held + 1000; seq++) {
      folds.came(seq, seq % 2 === 0 ? 'linux-6.12> CC net/core.o' : 'other');
      assert.equal(folds.seqOf(folds.rows(seq + 1) - 1), seq % 2 === 0 ? seq - 1 : seq);
    }
    return reads;
  };
  const few = readsFor(100);
  assert.ok(few < 10_000, `${few} reads for 500 lines`);
  assert.equal(readsFor(90_000), few);
});

test('lines that come one by one are folded as if all had been there from the start', () => {
  let seed = 11;
  const random = (/** @type {number} */ below) => (seed = (seed * 48271) % 2147483647) % below;
  const names = ['a-1', 'b-2', ''];
  for (let round = 0; round < 100; round++) {
    const lines = Array.from({ length: 60 }, () => names[random(3)] ?? '');
    const starts = [0, random(30), 30 + random(30)].sort((a, b) => a - b);
    const keys = [':0', ':1', ':2'].filter(() => random(3) === 0);
    /** @param {number} seen lines that are there when it is folded */
    const folded = (seen) => {
      const folds = new Folds();
      folds.setPhases(phases(...starts));
      for (const key of keys) folds.foldPhase(key);
      for (const name of ['a-1', 'b-2']) folds.foldOutput(name, lines.flatMap((of, seq) => (of === name && seq < seen ? [seq] : [])));
      for (let seq = seen; seq < lines.length; seq++) {
        folds.rows(seq);
        folds.came(seq, `${lines[seq]}> text`);
      }
      return Array.from({ length: folds.rows(lines.length) }, (_, index) => [folds.seqOf(index), folds.headAt(folds.seqOf(index))]);
    };
    const seen = 1 + Math.max(lines.indexOf('a-1'), lines.indexOf('b-2'));
    assert.deepEqual(folded(seen), folded(lines.length), `round ${round}`);
  }
});

test('what is folded is in the address', () => {
  const place = parsePlace('?fold=:0,nginx-1.29%2Bssl', '');
  assert.deepEqual(place.fold, [':0', 'nginx-1.29+ssl']);
  assert.equal(formatPlace(place), '?fold=:0,nginx-1.29%2Bssl');
});
