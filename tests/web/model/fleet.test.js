import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from '../../../web/model/clock.js';
import { Fleet } from '../../../web/model/fleet.js';
import { phaseRows } from '../../../web/model/phases.js';
import { compareHosts, countStates, hostState, worstState } from '../../../web/model/status.js';

/** @typedef {import('../../../web/model/types.js').Host} Host */
/** @typedef {import('../../../web/model/types.js').Run} Run */

/** @param {string} id @param {Partial<Host>} [rest] @returns {Host} */
const host = (id, rest) => ({ id, online: true, last_seen: '2026-01-01T00:00:00.000Z', run: null, ...rest });

/** @param {Partial<Run>} [rest] @returns {Run} */
const run = (rest) => ({ run_id: '2026-01-01T10-00-00-switch', host_id: 'a', command: 'switch', status: 'running', ...rest });

test('a list in parts replaces the old one when it is whole', () => {
  const fleet = new Fleet();
  fleet.receive({ type: 'hosts', hosts: [host('old')], more: false });
  fleet.receive({ type: 'hosts', hosts: [host('a')], more: true });
  assert.deepEqual([...fleet.hosts.keys()], ['old']);
  fleet.receive({ type: 'hosts', hosts: [host('b')], more: false });
  assert.deepEqual([...fleet.hosts.keys()], ['a', 'b']);
});

test('a list that broke off is no part of that of the next connection', () => {
  const fleet = new Fleet();
  fleet.receive({ type: 'hosts', hosts: [host('gone')], more: true });
  fleet.begin();
  fleet.receive({ type: 'hosts', hosts: [host('a')], more: false });
  assert.deepEqual([...fleet.hosts.keys()], ['a']);
});

test('an update of a run shows at its host unless a later one has begun', () => {
  const fleet = new Fleet();
  fleet.receive({ type: 'hosts', hosts: [host('a', { run: run() })] });
  fleet.receive({ type: 'run_update', run: run({ done: 3 }) });
  assert.equal(fleet.hosts.get('a')?.run?.done, 3);
  fleet.receive({ type: 'command_queued', host_id: 'a', run_id: '2026-01-01T11-00-00-test', command: 'test', requested_by: 'x' });
  assert.equal(fleet.hosts.get('a')?.run?.status, 'queued');
  fleet.receive({ type: 'run_update', run: run({ status: 'ok' }) });
  assert.equal(fleet.hosts.get('a')?.run?.command, 'test');
  assert.equal(fleet.findRun('a', '2026-01-01T10-00-00-switch')?.status, 'ok');
});

test('an answer is older than what has come since it was asked for', () => {
  const fleet = new Fleet();
  const shown = () => fleet.findRun('a', run().run_id);
  const first = fleet.asks();
  fleet.answered(run({ done: 1 }), first);
  assert.equal(shown()?.done, 1);
  const second = fleet.asks();
  fleet.receive({ type: 'hosts', hosts: [host('a', { run: run({ done: 2 }) })] });
  fleet.answered(run({ done: 1 }), second);
  assert.equal(shown()?.done, 2);
  const [third, fourth] = [fleet.asks(), fleet.asks()];
  fleet.answered(run({ done: 4 }), fourth);
  fleet.answered(run({ done: 3 }), third);
  assert.equal(shown()?.done, 4, 'the order in which they were asked for counts');
  const fifth = fleet.asks();
  fleet.receive({ type: 'run_update', run: run({ status: 'ok' }) });
  fleet.answered(run({ done: 5 }), fifth);
  assert.equal(fleet.hosts.get('a')?.run?.status, 'ok');
});

test('a run that ended while nobody was told, and is no longer the last of its host, is shown as the answer has it', () => {
  const fleet = new Fleet();
  fleet.answered(run(), fleet.asks());
  fleet.receive({ type: 'hosts', hosts: [host('a', { run: run() })] });
  const asked = fleet.asks();
  fleet.receive({ type: 'hosts', hosts: [host('a', { run: run({ run_id: '2026-01-01T11-00-00-switch' }) })] });
  fleet.answered(run({ status: 'ok' }), asked);
  assert.equal(fleet.findRun('a', run().run_id)?.status, 'ok');
});

test('a run that is already known is not queued again', () => {
  const fleet = new Fleet();
  fleet.receive({ type: 'hosts', hosts: [host('a', { run: run() })] });
  fleet.receive({ type: 'command_queued', host_id: 'a', run_id: run().run_id, command: 'switch' });
  assert.equal(fleet.hosts.get('a')?.run?.status, 'running');
});

test('listeners hear of what changed, and of unknown messages nothing', () => {
  const fleet = new Fleet();
  /** @type {(string | null)[]} */
  const heard = [];
  const end = fleet.onChange((id) => heard.push(id));
  fleet.receive({ type: 'hosts', hosts: [host('a')] });
  fleet.receive({ type: 'host_update', host: host('a') });
  fleet.receive({ type: 'host_update', host: host('new') });
  fleet.receive({ type: 'from_the_future' });
  end();
  fleet.receive({ type: 'host_update', host: host('a') });
  assert.deepEqual(heard, [null, 'a', null]);
});

test('the state of a host is what a person has to know of it', () => {
  assert.equal(hostState(host('a')), 'idle');
  assert.equal(hostState(host('a', { run: run({ status: 'ok' }) })), 'ok');
  assert.equal(hostState(host('a', { run: run({ status: 'error' }) })), 'failed');
  assert.equal(hostState(host('a', { run: run({ status: 'expired' }) })), 'failed');
  assert.equal(hostState(host('a', { run: run(), online: false })), 'lost');
  assert.equal(hostState(host('a', { run: run({ status: 'ok' }), online: false })), 'lost');
  assert.equal(hostState(host('a', { run: run({ status: 'queued' }), online: false })), 'queued');
  assert.equal(hostState(host('a', { online: false, last_seen: null })), 'idle');
});

test('failed and lost come first, then names as people sort them', () => {
  const hosts = [host('h10'), host('h9'), host('gone', { online: false }), host('bad', { run: run({ status: 'error' }) })];
  assert.deepEqual(hosts.sort(compareHosts).map((h) => h.id), ['bad', 'gone', 'h9', 'h10']);
  assert.deepEqual([...countStates(hosts)].sort(), [['failed', 1], ['idle', 2], ['lost', 1]]);
  assert.equal(worstState(countStates(hosts)), 'failed');
});

test('a phase lasts until the next one, the last until the run ends', () => {
  const phases = [
    { phase: 'evaluation', seq: 0, started: '2026-01-01T10:00:00.000Z' },
    { phase: 'building', seq: 7, started: '2026-01-01T10:00:05.000Z' },
  ];
  const now = Date.parse('2026-01-01T10:00:09.000Z');
  assert.deepEqual(phaseRows(run({ phases }), now).map((row) => [row.ms, row.current]), [[5000, false], [4000, true]]);
  const over = run({ phases, status: 'error', completed: '2026-01-01T10:00:06.000Z' });
  assert.deepEqual(phaseRows(over, now).map((row) => [row.ms, row.failed]), [[5000, false], [1000, true]]);
});

test('elapsed time is right though the clocks of host and browser are wrong', () => {
  const real = Date.parse('2026-01-01T12:00:00.000Z');
  const clock = new Clock(() => real - 3_600_000);
  clock.learn('2026-01-01T12:00:00.000Z');
  const late = host('a', { clock_skew_ms: 60_000 });
  assert.equal(clock.elapsed(run({ started: '2026-01-01T12:00:30.000Z' }), late), 30_000);
  assert.equal(clock.elapsed(run({ duration_ms: 5 }), late), 5);
  assert.equal(clock.elapsed(run({ status: 'lost', started: '2026-01-01T12:00:30.000Z' }), late), null);
});

test('an update of a host changes what is in it and leaves the rest and its run as they are', () => {
  const fleet = new Fleet();
  const failed = run({ status: 'error', phases: [{ phase: 'building', seq: 0, started: '2026-01-01T10:00:00.000Z' }], cause: [{ kind: 'other', summary: 'it broke' }] });
  fleet.receive({ type: 'hosts', hosts: [host('a', { run: failed, kernel: '6.18', generation: 41 })] });
  const asked = fleet.asks();
  fleet.receive({ type: 'host_update', host: { id: 'a', last_seen: '2026-01-01T00:00:05.000Z', metrics: { cpu: 7 } } });
  fleet.receive({ type: 'host_update', host: { id: 'a', generation: 42 } });
  const { run: shown, ...rest } = fleet.hosts.get('a') ?? {};
  assert.deepEqual(rest, { id: 'a', online: true, last_seen: '2026-01-01T00:00:05.000Z', kernel: '6.18', generation: 42, metrics: { cpu: 7 } });
  assert.equal(shown, failed);
  fleet.answered(run({ status: 'error', exit_code: 4 }), asked);
  assert.equal(fleet.findRun('a', failed.run_id)?.exit_code, 4, 'nothing newer was told of the run');
  fleet.receive({ type: 'host_update', host: { id: 'a', run: null } });
  assert.equal(fleet.hosts.get('a')?.run, null);
});
