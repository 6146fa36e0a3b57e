import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, clockDuration, dayOf, duration, exactTime, exactUtc, shortRevision, sinceStart, timeOfDay, untilText, zoneText } from '../../../web/model/format.js';
import { keyOf } from '../../../web/model/keys.js';
import { newestFirst } from '../../../web/model/status.js';
import { lineKind } from '../../../web/model/line-kind.js';
import { hostPath, parseRoute, runPath } from '../../../web/model/route.js';
import { endText, generationText, resultText, skewText } from '../../../web/model/summary.js';
import { commandDoing, exitCodeMeaning, isActivating, menuCommands, phaseText } from '../../../web/model/words.js';

/** @typedef {import('../../../web/model/types.js').Run} Run */
/** @param {Partial<Run>} [rest] @returns {Run} */
const run = (rest) => ({ run_id: 'r', host_id: 'a', command: 'switch', status: 'running', ...rest });


test('counts are shown only when somebody said them', () => {
  assert.equal(phaseText(run({ phase: 'building', done: 15, expected: 42 })), '🔨 Building (15/42)');
  assert.equal(phaseText(run({ phase: 'building', done: null, expected: null })), '🔨 Building');
  assert.equal(phaseText(run({ phase: 'building', done: 0, expected: 0 })), '🔨 Building');
  assert.equal(phaseText(run({ phase: 'activation', done: 42, expected: 42 })), '⚡ Activating');
  assert.equal(phaseText(run({ phase: 'testing', tests: { current: 3, total: 8, passed: 2, running: true, result: null } })), '🧪 Testing (3/8)');
  assert.equal(phaseText(run({ phase: null })), null);
});

test('exit codes are explained', () => {
  assert.equal(exitCodeMeaning(0, true), 'Succeeded');
  assert.equal(exitCodeMeaning(4, true), 'Switched, but a unit failed to start (exit code 4)');
  assert.match(exitCodeMeaning(100, true), /reboot/);
  assert.match(exitCodeMeaning(137, false), /signal 9 \(SIGKILL\)/);
  assert.equal(exitCodeMeaning(124, false), 'Timed out (exit code 124). The host still runs the old system.');
  assert.match(exitCodeMeaning(127, false), /not found/);
  assert.equal(exitCodeMeaning(42, true), 'Failed during or after activation (exit code 42)');
  assert.equal(exitCodeMeaning(4, false), 'Failed before activation (exit code 4). The host still runs the old system.');
  assert.equal(exitCodeMeaning(1, false, false), 'Failed (exit code 1)');
});

test('stopping is dangerous only while a running run activates', () => {
  assert.equal(isActivating(run({ phase: 'switch' })), true);
  assert.equal(isActivating(run({ phase: 'building' })), false);
  assert.equal(isActivating(run({ phase: 'switch', status: 'ok' })), false);
});

test('the menu holds what the host offers and what only it offers', () => {
  assert.deepEqual(menuCommands(['restart_web', 'boot', 'switch']), ['switch', 'boot', 'restart_web']);
  assert.deepEqual(menuCommands([]), ['switch', 'test', 'boot', 'build', 'pull', 'update', 'rollback']);
  assert.equal(commandDoing('switch'), 'Switching…');
  assert.equal(commandDoing('stop'), 'Stopping…');
  assert.equal(commandDoing('restart_web'), 'Restart web…');
});

test('durations and ages', () => {
  assert.equal(clockDuration(67_000), '1:07');
  assert.equal(clockDuration(3_723_000), '1:02:03');
  assert.equal(duration(75_012), '1 min 15 s');
  assert.equal(duration(840), '840 ms');
  assert.equal(duration(7200_000), '2 h');
  assert.equal(age(2000), 'just now');
  assert.equal(age(3 * 86_400_000), '3 d ago');
  assert.equal(sinceStart('2026-01-01T10:01:23.450Z', '2026-01-01T10:00:00.000Z'), '+1:23.4');
  assert.equal(shortRevision('a1b2c3d4e5f60718293a4b5c6d7e8f9001122334'), 'a1b2c3d4');
  assert.equal(shortRevision('dirty'), 'dirty');
});

test('times are those of the zone that is named, and UTC to the millisecond where one asks', () => {
  const zone = process.env['TZ'];
  process.env['TZ'] = 'Asia/Kolkata';
  const late = '2025-12-14T20:30:00.123Z';
  assert.deepEqual([timeOfDay(late), dayOf(late, false), zoneText(late)], ['02:00:00', '2025-12-15', 'UTC+5:30']);
  process.env['TZ'] = 'America/New_York';
  assert.deepEqual([timeOfDay(late), zoneText(late), zoneText('2025-07-01T00:00:00Z')], ['15:30:00', 'UTC-5', 'UTC-4']);
  assert.deepEqual([timeOfDay(late, true), dayOf(late, true), exactUtc(late)], ['20:30:00', '2025-12-14', '2025-12-14 20:30:00.123 UTC']);
  // In the nights in which summer time begins and ends.
  for (const [zoneName, ...times] of [['Europe/Vienna', '2026-03-29T01:30:00Z', '2026-03-29T02:30:00Z', '2026-10-25T01:30:00Z'], ['America/New_York', '2026-03-08T05:30:00Z']]) {
    process.env['TZ'] = zoneName;
    for (const time of times) assert.equal(timeOfDay(time, true), time.slice(11, 19), time);
  }
  process.env['TZ'] = 'UTC';
  assert.equal(zoneText(late), 'UTC');
  assert.deepEqual([exactUtc(null), exactTime(null), exactTime(undefined), exactTime('x'), dayOf('', true)], ['', '', '', '', '']);
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});

test('a line is an error by what it says', () => {
  for (const line of ['error: no', '\x1b[31;1merror:\x1b[0m no', "nginx> error: x", 'Failed to start x.service', 'warning: the following units failed: a']) {
    assert.equal(lineKind(line), 'error', line);
  }
  assert.equal(lineKind('warning: Git tree is dirty'), 'warning');
  for (const line of ['building the system configuration...', 'errors: 0', "copying path '/nix/store/x-error'"]) assert.equal(lineKind(line), null, line);
});

test('results in a line', () => {
  assert.equal(generationText(run({ generation_before: 41, generation_after: 42 })), 'generation 41 → 42');
  assert.equal(generationText(run({ generation_before: 41, generation_after: 41 })), 'generation 41, unchanged');
  assert.equal(generationText(run({ generation_before: 41 })), 'generation 41');
  assert.equal(generationText(run()), '');
  const message = "\nerror: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-nginx.drv'.\nmore";
  assert.equal(resultText(run({ status: 'error', message })), "error: Cannot build '…-nginx.drv'.");
  assert.equal(resultText(run({ status: 'stopped', phase: 'building' })), 'Stopped while building');
  assert.equal(resultText(run({ status: 'expired' })), 'Expired: the host did not connect in time');
  assert.equal(resultText(run({ status: 'expired', message: 'Expired: the command was sent to the host' })), 'Expired: the command was sent to the host');
});

test('what a wrong clock of a host says is held against that clock, and what the dashboard ended against its own', () => {
  const [hour, now] = [3_600_000, Date.parse('2026-01-02T10:00:00Z')];
  const clock = /** @type {any} */ ({ now: () => now, hostNow: () => now + hour });
  const host = /** @type {any} */ ({});
  const at = (/** @type {number} */ ms) => new Date(ms).toISOString();
  const own = run({ status: 'ok', started: at(now + hour - 90_000), completed: at(now + hour - 60_000) });
  assert.match(endText(own, host, clock), /1 min ago/);
  for (const status of /** @type {const} */ (['expired', 'rejected', 'stopped'])) {
    const ended = run({ status, started: null, completed: at(now - 60_000) });
    assert.match(endText(ended, host, clock), /1 min ago/, status);
  }
});

test('a time to come has its day, unless that is today', () => {
  const now = new Date(2026, 0, 2, 10).getTime();
  assert.equal(untilText(new Date(2026, 0, 2, 12, 5).toISOString(), now), '12:05');
  assert.equal(untilText(new Date(2026, 0, 22, 2, 6).toISOString(), now), '2026-01-22 02:06');
});

test('places and their addresses', () => {
  assert.deepEqual(parseRoute('/'), { name: 'fleet' });
  assert.deepEqual(parseRoute(hostPath('a.b')), { name: 'host', host: 'a.b' });
  assert.deepEqual(parseRoute(runPath('a', '2026-01-01T10-00-00-switch')), { name: 'run', host: 'a', run: '2026-01-01T10-00-00-switch' });
  assert.deepEqual(parseRoute('/hosts/%E0%A4%A'), { name: 'host', host: '%E0%A4%A' });
  for (const path of ['/elsewhere', '/access/more', '/hosts', '/hosts/a/b', '/hosts/a/runs', '/hosts/a/runs/r/more']) assert.deepEqual(parseRoute(path), { name: 'nowhere' }, path);
});

test('a clock is said to be wrong once it is off by more than the way of a message', () => {
  const skew = (/** @type {number | null} */ ms) => skewText({ id: 'a', online: true, clock_skew_ms: ms });
  assert.equal(skew(null), null);
  assert.equal(skew(4900), null);
  assert.equal(skew(-4900), null);
  assert.equal(skew(3_600_000), '1 h ahead');
  assert.equal(skew(-12_000), '12 s behind');
});

test('a key means the same on every layout and with Caps Lock', () => {
  const keyWith = (/** @type {boolean} */ capsLock) => (/** @type {string} */ key, /** @type {string} */ code, shiftKey = false) => keyOf({ key, code, shiftKey, getModifierState: () => capsLock });
  const key = keyWith(false);
  assert.equal(key('n', 'KeyN'), 'n');
  assert.equal(key('N', 'KeyN', true), 'N');
  assert.equal(keyWith(true)('N', 'KeyN'), 'n');
  assert.equal(keyWith(true)('n', 'KeyN', true), 'N');
  assert.equal(key('а', 'KeyF'), 'f', 'Cyrillic');
  assert.equal(key('Φ', 'KeyF', true), 'F', 'Greek');
  assert.equal(keyWith(true)('А', 'KeyF'), 'f', 'Cyrillic with Caps Lock');
  assert.equal(key('a', 'KeyQ'), 'a', 'a Latin layout says itself where its letters are');
  assert.equal(key('/', 'Digit7', true), '/');
  assert.equal(key('Escape', 'Escape'), 'Escape');
});

test('runs are in the order of their numbers, whatever the clock of their host said', () => {
  const runs = [
    { run_id: '2026-01-02T10-00-00-switch', number: 7 },
    { run_id: '2026-03-01T10-00-00-switch', number: 5 },
    { run_id: '2026-01-01T10-00-00-switch-10' },
    { run_id: '2026-01-01T10-00-00-switch-9' },
    { run_id: '2025-01-01T10-00-00-pull', number: 9 },
  ];
  assert.deepEqual(
    runs.sort(newestFirst).map(({ run_id, number }) => number ?? run_id.slice(27)),
    [9, 7, 5, '10', '9'],
  );
});
