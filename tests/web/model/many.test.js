import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bulkResults, bulkSummary } from '../../../web/model/bulk.js';
import { bars, median, usualCommand } from '../../../web/model/durations.js';
import { commonFailures } from '../../../web/model/failures.js';
import { Fleet } from '../../../web/model/fleet.js';

/** @typedef {import('../../../web/model/types.js').Run} Run */
/** @typedef {import('../../../web/model/types.js').Host} Host */

/** @param {string} id @param {Partial<Run>} run @param {Partial<Host>} [rest] @returns {Host} */
const host = (id, run, rest) => ({ id, online: true, last_seen: '2026-01-01T00:00:00.000Z', run: { run_id: 'r', host_id: id, command: 'switch', status: 'error', ...run }, ...rest });

test('the same failure is one, whatever the hosts and paths in it are called', () => {
  const message = (/** @type {string} */ name, /** @type {string} */ hash) => `\nerror: hash mismatch in '/nix/store/${hash.repeat(32)}-source.drv' for ${name}.example\n more`;
  const groups = commonFailures([
    host('web1', { message: message('web1', 'a') }),
    host('web2', { message: message('web2', 'b') }),
    host('db', { message: 'error: disk full' }),
    host('mail', { message: 'error: disk full' }),
    host('nas', { message: 'error: disk full' }),
    host('alone', { message: 'error: something else' }),
    host('well', { message: 'error: disk full', status: 'ok' }),
    host('gone', { message: 'error: disk full' }, { online: false }),
    host('silent', { message: null }),
  ]);
  assert.deepEqual(groups, [
    { text: 'error: disk full', hosts: ['db', 'mail', 'nas'] },
    { text: "error: hash mismatch in '…-source.drv' for HOST.example", hosts: ['web1', 'web2'] },
  ]);
});

test('results are told host by host, those that need somebody first, and follow their runs', () => {
  const fleet = new Fleet();
  fleet.receive({ type: 'hosts', hosts: ['a', 'b', 'c', 'd'].map((id) => ({ id, online: id !== 'c' })) });
  const answers = [
    { host_id: 'a', status: 202, run_id: 'r' },
    { host_id: 'b', status: 202, run_id: 'r' },
    { host_id: 'c', status: 202, run_id: 'r' },
    { host_id: 'd', status: 409, run_id: null, detail: 'd is busy' },
  ];
  for (const id of ['a', 'b', 'c']) fleet.run({ run_id: 'r', host_id: id, command: 'switch', status: 'queued' });
  fleet.run({ run_id: 'r', host_id: 'a', command: 'switch', status: 'running', phase: 'building', done: 1, expected: 3 });
  const results = bulkResults(answers, fleet);
  assert.deepEqual(results.map(({ host, word, text }) => [host, word, text]), [
    ['d', 'refused', 'd is busy'],
    ['b', 'queued', ''],
    ['c', 'queued', 'Waiting for the host to connect'],
    ['a', 'running', '🔨 Building (1/3)'],
  ]);
  assert.equal(bulkSummary(results), '1 refused · 2 queued · 1 running');
  for (const id of ['a', 'b', 'c']) fleet.run({ run_id: 'r', host_id: id, command: 'switch', status: 'ok' });
  assert.equal(bulkSummary(bulkResults(answers, fleet)), '1 refused · 3 ok');
});

test('durations are of one command, oldest first, and the usual one is of those that went well', () => {
  const run = (/** @type {number} */ n, /** @type {Partial<Run>} */ rest) => ({ run_id: `r${n}`, host_id: 'a', command: 'switch', status: /** @type {const} */ ('ok'), duration_ms: n, ...rest });
  const runs = [run(40, {}), run(5, { command: 'pull' }), run(10, { status: 'error' }), run(20, {}), run(30, {}), { ...run(1, {}), duration_ms: null }];
  assert.equal(usualCommand(runs), 'switch');
  const shown = bars(runs, 'switch');
  assert.deepEqual(shown.map(({ ms, height }) => [ms, height]), [[30, 0.75], [20, 0.5], [10, 0.25], [40, 1]]);
  assert.equal(median(shown), 30);
  assert.equal(median(bars(runs.slice(3), 'switch')), 25);
  assert.equal(median(bars(runs, 'boot')), null);
});
