import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareTokens, expiryText, hostsText, mayManage, revokeQuestion, rotation, tokenState, tokenText, useText } from '../../../web/model/access.js';
import { actionText, auditState, detailText, formatFilter, parseFilter, whoText } from '../../../web/model/audit.js';
import { expiresIn, tokenPlace } from '../../../web/model/new-token.js';
import { parseRoute } from '../../../web/model/route.js';

/** @typedef {import('../../../web/model/access.js').Token} Token */

const NOW = Date.parse('2026-06-01T12:00:00Z');

/** @param {Partial<Token>} rest @returns {Token} */
const token = (rest) => ({
  id: 'a', kind: 'agent', host_id: 'web1', expires: null, in_file: false, created: '2026-05-01T00:00:00Z', created_by: 'ada',
  revoked: null, revoked_by: null, connected: false, last_used: null, ...rest,
});

test('access has an address of its own', () => {
  assert.deepEqual(parseRoute('/access'), { name: 'access' });
  assert.deepEqual(parseRoute('/accessories'), { name: 'nowhere' });
});

test('only an admin of every host may manage access', () => {
  /** @param {import('../../../web/model/access.js').Role} role @param {string} hosts */
  const me = (role, hosts) => mayManage({ name: 'ada', role, hosts, via: 'session', expires: null });
  assert.deepEqual([me('admin', '*'), me('admin', 'web-*'), me('operator', '*'), me('viewer', '*')], [true, false, false, false]);
});

test('a token is valid, in use, expired, revoked, used up, or of a maker who is gone', () => {
  const word = (/** @type {Partial<Token>} */ rest) => tokenState(token(rest), NOW).word;
  assert.equal(word({}), 'valid');
  assert.equal(word({ connected: true }), 'connected');
  assert.equal(word({ kind: 'api', expires: '2026-06-01T12:00:00Z' }), 'expired');
  assert.equal(word({ revoked: '2026-05-02T00:00:00Z', revoked_by: 'ada', connected: true }), 'revoked');
  assert.equal(word({ kind: 'api', maker_gone: true, connected: true }), 'not valid');
  assert.equal(word({ kind: 'enrolment', revoked: '2026-05-02T00:00:00Z', revoked_by: 'its use by web1' }), 'used');
});

test('what a token is for and how long it lasts is said in words', () => {
  assert.equal(tokenText(token({ kind: 'api', name: 'ci', role: 'operator', hosts: 'web-*,db1' })), 'API, operator of web-*, db1');
  assert.equal(hostsText('*'), 'every host');
  assert.equal(expiryText(token({ kind: 'api' }), NOW), 'no expiry');
  assert.equal(expiryText(token({ kind: 'api', expires: '2026-06-11T13:00:00Z' }), NOW), 'expires in 10 d');
  assert.match(expiryText(token({ kind: 'api', expires: '2026-05-31T00:00:00Z' }), NOW), /^expired 2026-05-3/);
  assert.equal(useText(token({}), NOW), 'not used since restart');
  const used = token({ kind: 'enrolment', revoked: '2026-05-02T00:00:00Z', revoked_by: 'its use by web1' });
  assert.match(useText(used, NOW), /^2026-05-0\d \d\d:\d\d:\d\d by web1$/);
  assert.match(useText({ ...used, revoked_by: 'ada' }, NOW), / by ada$/);
  assert.equal(useText(token({ last_used: '2026-06-01T11:57:00Z' }), NOW), 'used 3 min ago');
  assert.equal(useText(token({ connected: true, last_used: '2026-06-01T11:57:00Z' }), NOW), 'used now');
});

test('while a host has two tokens each says what to do next, and only the right one is to be revoked', () => {
  /** @param {boolean} oldConnected @param {boolean} newConnected */
  const said = (oldConnected, newConnected) => {
    const old = token({ id: 'old', in_file: true, created: null, connected: oldConnected });
    const fresh = token({ id: 'new', connected: newConnected });
    const all = [old, fresh, token({ id: 'other', host_id: 'web2', connected: true }), token({ id: 'gone', revoked: '2026-05-01T00:00:00Z', connected: true })];
    return [old, fresh].map((one) => rotation(one, all, NOW));
  };
  assert.deepEqual(said(true, false), [
    { text: 'web1 still uses this token. Keep it until the other one is connected.', urgent: false },
    { text: 'web1 still uses its other token. Put this token into its token file, then restart its agent.', urgent: false },
  ]);
  assert.deepEqual(said(false, true), [{ text: 'web1 now uses its other token. Revoke this one.', urgent: true }, { text: '', urgent: false }]);
  assert.deepEqual(said(false, false), [{ text: 'web1 is not connected. Keep this token until the other one is connected.', urgent: false }, { text: '', urgent: false }]);
  assert.deepEqual(rotation(token({}), [token({})], NOW), { text: '', urgent: false });
});

test('before a token is revoked it is said what will happen', () => {
  const used = token({ connected: true, in_file: true });
  const alone = revokeQuestion(used, [used], NOW).text.join(' ');
  assert.match(alone, /is disconnected immediately.*the only one: web1 cannot connect.*remove the line there too/);
  const two = revokeQuestion(token({ id: 'b' }), [used, token({ id: 'b' })], NOW).text.join(' ');
  assert.match(two, /not connected with it.*has another token and is connected with that one/);
  assert.match(revokeQuestion(token({ kind: 'api', name: 'ci' }), [], NOW).title, /API token of ci/);
  assert.match(revokeQuestion(token({ kind: 'enrolment', hosts: 'web-*' }), [], NOW).text.join(' '), /No host can enrol/);
});

test('tokens are in order: hosts by name with the old one first, enrolment, the API', () => {
  const all = [
    token({ id: '1', kind: 'api', name: 'a' }), token({ id: '2', host_id: 'web10' }), token({ id: '3', host_id: 'web9' }),
    token({ id: '4', host_id: 'web9', in_file: true, created: null }), token({ id: '5', kind: 'enrolment', hosts: '*' }),
  ];
  assert.deepEqual(all.sort(compareTokens).map(({ id }) => id), ['4', '3', '2', '5', '1']);
});

test('a new token says where it goes, in the words of its kind', () => {
  const at = { protocol: 'https:', host: 'fleet.example.org', origin: 'https://fleet.example.org' };
  assert.match(tokenPlace('agent', 'web1', false, at).code, /agent\.tokenFile = .*\n.*"wss:\/\/fleet\.example\.org";$/);
  assert.match(tokenPlace('agent', 'web1', true, at).text.join(' '), /web1 uses its old token/);
  assert.doesNotMatch(tokenPlace('agent', 'web1', false, at).text.join(' '), /old token/);
  assert.match(tokenPlace('enrolment', '', false, at).code, /enrolment_file/);
  assert.match(tokenPlace('api', 'ci', false, at).code, /Bearer \$TOKEN" https:\/\/fleet\.example\.org\/api/);
  assert.equal(expiresIn('1 h', NOW), '2026-06-01T13:00:00.000Z');
  assert.equal(expiresIn('never', NOW), 'never');
});

/** @param {Partial<import('../../../web/model/audit.js').Audited>} rest */
const record = (rest) => ({ time: '2026-06-01T12:00:00Z', user: 'ada', role: 'admin', via: 'session', address: '::1', action: 'command', host_id: null, run_id: null, command: null, result: 'ok', detail: null, ...rest });

test('records of the audit log are said in words, those that failed as what they are', () => {
  assert.equal(actionText(record({ command: 'switch' })), 'Switch');
  assert.equal(actionText(record({ action: 'something_new' })), 'something_new');
  assert.deepEqual(auditState(record({})), { state: 'ok', word: 'ok' });
  assert.deepEqual(auditState(record({ action: 'login', result: 'refused' })), { state: 'failed', word: 'failed' });
  assert.deepEqual(auditState(record({ result: 'refused' })), { state: 'failed', word: 'refused' });
  assert.equal(whoText(record({ via: 'token' })), 'admin, with token');
  assert.equal(whoText(record({ role: null, action: 'request' })), 'unknown');
  assert.equal(whoText(record({ role: null, action: 'login', result: 'refused' })), 'unverified name');
  assert.equal(whoText(record({ role: null, action: 'login' })), '');
  assert.equal(detailText(record({ detail: 'why', left_out: 3 })), 'why · 3 more failed attempts were counted, not listed');
});

test('what is asked of the audit log stands in the address, and nonsense in there is nothing', () => {
  const filter = { host: 'a&b', user: '', action: 'login', result: 'refused' };
  assert.equal(formatFilter(filter), '&host=a%26b&action=login&result=refused');
  assert.deepEqual(parseFilter(`?tab=audit${formatFilter(filter)}`), filter);
  assert.deepEqual(parseFilter('?action=toString&result=maybe'), { host: '', user: '', action: '', result: '' });
});
