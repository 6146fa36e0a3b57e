import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Follow } from '../../../web/model/follow.js';

test('leaving resumes what hovering stopped', () => {
  const follow = new Follow();
  follow.pause('hover', 10);
  assert.equal(follow.following, false);
  follow.leave();
  assert.equal(follow.following, true);
});

test('leaving does not resume what scrolling stopped', () => {
  const follow = new Follow();
  follow.pause('hover', 10);
  follow.pause('scrolled', 12);
  follow.leave();
  assert.equal(follow.following, false);
  follow.pause('hover', 12);
  follow.leave();
  assert.equal(follow.following, false);
  follow.resume();
  assert.equal(follow.following, true);
});

test('the pill counts the lines since the pause and the errors among them', () => {
  const follow = new Follow();
  follow.pause('hover', 100);
  assert.equal(follow.pill(100), '▼ Follow');
  follow.sawErrors(1);
  assert.equal(follow.pill(101), '▼ 1 new · 1 error');
  follow.pause('scrolled', 150);
  follow.sawErrors(1);
  assert.equal(follow.pill(1228), '▼ 1,128 new · 2 errors');
  assert.match(follow.why, /scrolled/);
});

test('a later pause counts from its own beginning', () => {
  const follow = new Follow();
  follow.pause('hover', 0);
  follow.sawErrors(3);
  follow.resume();
  follow.pause('hover', 50);
  assert.equal(follow.pill(51), '▼ 1 new');
});
