import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogModel, PAGE_LINES } from '../../../web/model/log.js';

/** @param {number} from @param {number} n @param {number} [length] */
function lines(from, n, length = 0) {
  return Array.from({ length: n }, (_, i) => ({ line: `${from + i}`.padEnd(length), timestamp: '', is_error: false }));
}

test('a line that comes twice is there once', () => {
  const log = new LogModel();
  log.append(0, lines(0, 10));
  log.append(5, lines(5, 10));
  assert.equal(log.total, 15);
  assert.equal(log.next, 15);
  assert.equal(log.get(7)?.line, '7');
});

test('lines that were skipped are a hole until they come', () => {
  const log = new LogModel();
  log.append(0, lines(0, 10));
  log.append(2500, lines(2500, 10));
  assert.deepEqual(log.holes(0, 2510), [0, 1, 2]);
  assert.equal(log.holeLength(10), 2490);
  assert.equal(log.get(20), undefined);
  log.put(0, lines(0, 1000));
  log.put(1000, lines(1000, 1000));
  log.put(2000, lines(2000, 500));
  assert.deepEqual(log.holes(0, 2510), []);
  assert.equal(log.next, 2510);
});

test('what fills a hole does not move the place to go on from', () => {
  const log = new LogModel();
  log.setTotal(5000);
  log.append(4000, lines(4000, 500));
  log.put(0, lines(0, 1000));
  assert.equal(log.next, 4500);
  assert.equal(log.total, 5000);
});

test('a million lines are held in part, the newest and those on screen', () => {
  const log = new LogModel();
  for (let seq = 0; seq < 1_000_000; seq += 5000) {
    log.append(seq, lines(seq, 5000));
    log.holes(0, 10);
  }
  assert.equal(log.total, 1_000_000);
  assert.equal(log.get(999_999)?.line, '999999');
  assert.equal(log.get(5)?.line, '5');
  assert.equal(log.get(500_000), undefined);
});

test('very long lines are held within bounds too', () => {
  const log = new LogModel();
  for (let seq = 0; seq < 10 * PAGE_LINES; seq += 100) log.append(seq, lines(seq, 100, 16 * 1024));
  assert.equal(log.get(0), undefined);
  assert.equal(log.get(10 * PAGE_LINES - 1)?.line.trim(), '9999');
});
