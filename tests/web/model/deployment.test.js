import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from '../../../web/model/clock.js';
import { hostFilter } from '../../../web/model/filter.js';
import { Fleet } from '../../../web/model/fleet.js';
import { sheetGroups, sheetTitle } from '../../../web/model/sheet.js';
import { compareHosts, countStates, hostState, hostWord } from '../../../web/model/status.js';
import { hostText, lastText, resultText, revisionText } from '../../../web/model/summary.js';
import { asksFirst } from '../../../web/model/words.js';

/** @typedef {import('../../../web/model/types.js').Host} Host */
/** @typedef {import('../../../web/model/types.js').Run} Run */
/** @typedef {import('../../../web/model/types.js').Deployment} Deployment */

const NOW = Date.parse('2026-01-01T12:00:00.000Z');
const clock = new Clock(() => NOW);

/** @param {string} command @param {Partial<Run>} [rest] @returns {Run} */
const run = (command, rest) => ({ run_id: `2026-01-01T11-50-00-${command}`, host_id: 'a', command, status: 'ok', started: '2026-01-01T11:50:00.000Z', completed: '2026-01-01T11:55:00.000Z', ...rest });

/** @param {Partial<Deployment>} [rest] @returns {Deployment} */
const deployment = (rest) => ({ run_id: '2026-01-01T10-00-00-switch', command: 'switch', status: 'ok', generation: 41, revision: 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00', ...rest });

/** @param {Partial<Host>} [rest] @returns {Host} */
const host = (rest) => ({ id: 'a', online: true, last_seen: '2026-01-01T11:59:30.000Z', run: null, deployment: null, ...rest });

test('a good pull after a failed switch leaves the host failed, and its reason is the one of the switch', () => {
  const failed = run('switch', { run_id: '2026-01-01T10-00-00-switch', status: 'error', message: 'building…\nmore', cause: [{ kind: 'derivation', summary: 'nginx-1.29 failed to build (exit code 2)' }] });
  const hidden = host({ deployment: deployment({ status: 'error' }), run: run('pull') });
  assert.equal(hostState(hidden), 'failed');
  assert.equal(hostText(hidden, clock, failed), 'nginx-1.29 failed to build (exit code 2)');
  assert.equal(hostText(hidden, clock), 'Switch failed', 'as long as no more is known');
  assert.deepEqual(lastText(hidden, clock), { text: 'Pull ok · 5 min ago', failed: false, reason: '' });
  assert.deepEqual([...countStates([hidden])], [['failed', 1]]);
  assert.ok(compareHosts(hidden, host({ id: '0', deployment: deployment() })) < 0);
});

test('a failed pull, build or plan stands beside the deployment and turns no host red', () => {
  for (const command of ['pull', 'build', 'plan', 'update', 'restart_web']) {
    const well = host({ deployment: deployment(), run: run(command, { status: 'error', message: 'fatal: no route to host' }) });
    assert.equal(hostState(well), 'ok', command);
    assert.equal(hostText(well, clock), 'generation 41');
    const last = lastText(well, clock);
    assert.equal(last.failed, true);
    assert.equal(last.reason, 'fatal: no route to host');
    assert.match(last.text, / failed · 5 min ago$/);
    assert.equal(hostState(host({ run: run(command, { status: 'error' }) })), 'idle', `nothing was deployed before ${command}`);
  }
});

test('a deploying run that has just ended counts before the dashboard names it, one that never began does not', () => {
  const before = deployment();
  assert.equal(hostState(host({ deployment: before, run: run('switch', { status: 'error' }) })), 'failed');
  assert.equal(hostState(host({ deployment: deployment({ status: 'error' }), run: run('rollback') })), 'ok');
  assert.equal(hostState(host({ deployment: before, run: run('switch', { status: 'expired', started: null }) })), 'ok');
  assert.equal(hostState(host({ deployment: before, run: run('switch', { status: 'running' }) })), 'running');
});

test('a deployment that was rolled back is no success', () => {
  const back = host({ deployment: deployment({ status: 'rolled_back' }), run: run('pull') });
  assert.equal(hostState(back), 'failed');
  assert.equal(hostWord(back), 'rolled back');
});

test('the reason is the cause where there is one, else the first line of the message', () => {
  const message = '\n\x1b[31merror: builder failed\x1b[0m\nmore';
  assert.equal(resultText(run('switch', { status: 'error', message })), 'error: builder failed');
  assert.equal(resultText(run('switch', { status: 'error', message, cause: [] })), 'error: builder failed');
  assert.equal(resultText(run('switch', { status: 'error', message, cause: [{ kind: 'unit', summary: 'nginx.service failed to start' }] })), 'nginx.service failed to start');
});

test('what runs on a host is the revision of its deployment, and how far it is behind', () => {
  const about = host({ revision: 'd3adbeefd3adbeefd3adbeefd3adbeefd3adbeef', behind: 3, generation: 41, reboot_required: true });
  assert.equal(revisionText({ ...about, deployment: deployment() }), 'c0ffee00 · 3 behind · reboot needed · gen 41');
  assert.equal(revisionText(about), 'd3adbeef · 3 behind · reboot needed · gen 41');
});

test('the run of a deployment is found once it was told', () => {
  const fleet = new Fleet();
  const hidden = host({ deployment: deployment({ status: 'error' }), run: run('pull') });
  fleet.receive({ type: 'hosts', hosts: [hidden] });
  assert.equal(fleet.deployed(hidden), undefined);
  fleet.run(run('switch', { run_id: '2026-01-01T10-00-00-switch', status: 'error' }));
  assert.equal(fleet.deployed(hidden)?.status, 'error');
});

test('whatever activates on several hosts, and every rollback, asks first', () => {
  const harmless = ['pull', 'build', 'plan', 'update', 'stop'];
  for (const command of ['switch', 'test', 'boot', 'rollback', 'reboot', 'restart_web']) {
    assert.equal(asksFirst([command], 2), true, command);
    for (const other of harmless) for (const commands of [[other, command], [command, other]]) assert.equal(asksFirst(commands, 2), true, commands.join());
  }
  for (const command of harmless) for (const then of harmless) assert.equal(asksFirst([command, then], 500), false, command);
  for (const commands of [['rollback'], ['pull', 'rollback'], ['rollback', 'pull'], ['switch', 'rollback']]) assert.equal(asksFirst(commands, 1), true, commands.join());
  for (const commands of [['switch'], ['pull', 'switch']]) assert.equal(asksFirst(commands, 1), false, commands.join());
});

test('a sheet names the hosts apart that are busy, away or in need of a reboot, and the revision now and then', () => {
  const revision = 'd3adbeefd3adbeefd3adbeefd3adbeefd3adbeef';
  const hosts = [
    host({ id: 'well', revision, behind: 2, deployment: deployment() }),
    host({ id: 'same', revision, deployment: deployment({ revision }) }),
    host({ id: 'away', online: false, revision }),
    host({ id: 'busy', run: run('pull', { status: 'running' }) }),
    host({ id: 'old', reboot_required: true }),
    host({ id: 'other', commands: ['pull'] }),
  ];
  const groups = sheetGroups(hosts, ['switch']);
  assert.deepEqual(groups.map(({ title, sent, items }) => [title, sent, items.map((item) => item.host)]), [
    ['Ready', true, ['well', 'same']], ['Reboot needed', true, ['old']], ['Offline', true, ['away']], ['Busy', false, ['busy']], ['Not offered', false, ['other']],
  ]);
  assert.deepEqual(groups[0]?.items, [{ host: 'well', change: 'c0ffee00 → d3adbeef', note: '2 behind' }, { host: 'same', change: 'd3adbeef, unchanged', note: '' }]);
  assert.equal(sheetGroups([host({ generation: 41 })], ['rollback'])[0]?.items[0]?.change, 'generation 41 → previous');
  assert.equal(sheetGroups([host({ deployment: deployment() })], ['pull', 'switch'])[0]?.items[0]?.change, 'c0ffee00 → newest');
  const [deployed, unknown] = [host({ deployment: deployment() }), host({ deployment: deployment({ revision: null }) })];
  for (const [about, command, change] of /** @type {const} */ ([
    [host({ revision }), 'switch', 'never deployed → d3adbeef'],
    [host({ revision }), 'deploy', 'never deployed → d3adbeef or newer'],
    [host({}), 'deploy', 'never deployed → newest'],
    [host({ revision, generation: 41 }), 'boot', 'generation 41 → d3adbeef'],
    [unknown, 'deploy', 'unknown → newest'],
    [{ ...unknown, revision }, 'switch', 'd3adbeef'],
    [deployed, 'switch', 'revision unknown'],
  ])) assert.equal(sheetGroups([about], command === 'deploy' ? ['pull', 'switch'] : [command])[0]?.items[0]?.change, change, command);
  assert.equal(sheetTitle(['pull', 'switch'], ['a', 'b'], 2), 'Deploy 2 hosts?');
  assert.equal(sheetTitle(['pull', 'rollback'], ['web01'], 1), 'Pull, then Rollback on web01?');
  assert.equal(sheetTitle(['switch'], ['a', 'b'], 2), 'Switch 2 hosts?');
  assert.equal(sheetTitle(['switch'], ['a', 'b'], 1), 'Switch 1 of 2 hosts?');
  assert.equal(sheetTitle(['rollback'], ['web01'], 1), 'Rollback on web01?');
});

test('the filter finds words on the screen, and terms of state, error, behind and reboot', () => {
  const failed = run('switch', { host_id: 'web01', run_id: '2026-01-01T10-00-00-switch', status: 'error', message: 'error: nginx.service failed\nexit 4' });
  const hosts = [
    host({ id: 'web01', deployment: deployment({ status: 'error' }), run: run('pull'), behind: 3 }),
    host({ id: 'web02', run: failed, reboot_required: true }),
    host({ id: 'db', deployment: deployment(), generation: 41, revision: 'd3adbeefd3adbeef' }),
    host({ id: 'nas', online: false }),
    host({ id: 'builder', run: run('switch', { status: 'running', phase: 'building', done: 1, expected: 2 }) }),
  ];
  const found = (/** @type {string} */ filter) => hosts.filter(hostFilter(filter, clock, ({ id }) => (id === 'web01' ? failed : undefined))).map(({ id }) => id).join();
  assert.equal(found(''), 'web01,web02,db,nas,builder');
  assert.equal(found('web'), 'web01,web02');
  assert.equal(found('state:failed'), 'web01,web02');
  assert.equal(found('state:fail error:nginx'), 'web01,web02');
  assert.equal(found('state:lost'), 'nas');
  assert.equal(found('state:offline'), 'nas');
  assert.equal(found('error:nginx behind'), 'web01');
  assert.equal(found('reboot'), 'web02');
  assert.equal(found('REBOOT Error:NGINX'), 'web02');
  assert.equal(found('no contact'), 'nas');
  assert.equal(found('building'), 'builder');
  assert.equal(found('pull ok'), 'web01');
  assert.equal(found('generation 41'), 'db');
  assert.equal(found('d3adbeef'), 'db');
  assert.equal(found('error:'), 'web01,web02');
  assert.equal(found('nobody'), '');
});
