import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isScaled, MAX_HEIGHT, maxTop, spaceHeight, toScrollTop, toTop } from '../../../web/model/scroll-map.js';

test('up to 400,000 lines a pixel is a pixel', () => {
  assert.equal(isScaled(400_000), false);
  assert.equal(spaceHeight(400_000), MAX_HEIGHT);
  assert.equal(toScrollTop(1234.5, 400_000, 600), 24_690);
  assert.equal(toTop(24_690, 400_000, 600), 1234.5);
});

test('beyond that the scroller stays as tall and its ends are those of the log', () => {
  assert.equal(isScaled(1_000_000), true);
  assert.equal(spaceHeight(1_000_000), MAX_HEIGHT);
  assert.equal(toTop(MAX_HEIGHT - 600, 1_000_000, 600), 999_970);
  assert.equal(toScrollTop(0, 1_000_000, 600), 0);
});

test('there and back again is the same place', () => {
  for (const total of [31, 5_000, 400_001, 1_000_000, 50_000_000]) {
    for (const part of [0, 0.1, 0.5, 0.99, 1]) {
      const top = part * maxTop(total, 600);
      assert.ok(Math.abs(toTop(toScrollTop(top, total, 600), total, 600) - top) < 0.001, `${total} ${part}`);
    }
  }
});

test('a log that is shorter than the view does not scroll', () => {
  assert.equal(maxTop(10, 600), 0);
  assert.equal(toTop(50, 10, 600), 0);
  assert.equal(toScrollTop(5, 10, 600), 0);
});
