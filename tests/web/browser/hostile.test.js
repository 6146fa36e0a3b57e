/** A host in wrong hands: whatever text it sends is shown as text, in every place that shows it. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { launch, row } from './support/browser.js';
import { until } from './support/process.js';
import { deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start(['anna']);
});

after(async () => {
  await browser?.close();
  await world?.end();
});

const RUN = '2025-12-14T10-30-00-switch';
const NEXT = '2025-12-14T10-31-00-switch';

/** Each would set `window.taken`, or be there as an element. @param {string} place */
const attack = (place) =>
  `${place} <img src=x onerror="window.taken='${place}'"><script>window.taken='${place}'</script>"'><svg onload=window.taken='${place}'>` +
  `</style></title><a href="javascript:window.taken='${place}'">x</a>{{7*7}}\${7*7} javascript:window.taken='${place}'`;

/** A host of the simplest kind: a token of its own, and a WebSocket made by hand. */
class Host {
  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.socket = socket;
  }

  /** @param {string} name */
  static async connected(name) {
    const made = await fetch(`${world.url}/api/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: world.url },
      body: JSON.stringify({ kind: 'agent', host_id: name }),
    });
    assert.equal(made.status, 201);
    const { token } = /** @type {{token: string}} */ (await made.json());
    const socket = connect(world.port, '127.0.0.1');
    const key = randomBytes(16).toString('base64');
    socket.write(`GET /ws/agent HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    return new Host(socket);
  }

  /** @param {Record<string, unknown>} message */
  send(message) {
    const text = Buffer.from(JSON.stringify({ host_id: 'evil', ...message }));
    const head = Buffer.alloc(8);
    head.writeUInt8(0x81, 0);
    head.writeUInt8(0x80 | 126, 1);
    head.writeUInt16BE(text.length, 2);
    // A mask of zeros leaves the bytes as they are.
    this.socket.write(Buffer.concat([head, text]));
  }

  /** @param {string} run_id @param {string[]} texts @param {Record<string, unknown>} end */
  run(run_id, texts, end) {
    const line = (/** @type {string} */ text) => ({ line: text, timestamp: '2025-12-14T10:30:01.000Z', is_error: true });
    this.send({ type: 'status', run_id, command: 'switch', status: 'running', revision: attack('revision') });
    this.send({ type: 'output', run_id, command: 'switch', seq: 0, lines: texts.map(line) });
    this.send({ type: 'progress', run_id, phases: [], done: 1, expected: 2 });
    this.send({ type: 'status', run_id, command: 'switch', exit_code: 1, lines: texts.length, ...end });
  }
}

/** Nothing ran, and nothing of it became an element. @param {import('playwright-core').Page} page */
async function isUnharmed(page) {
  const found = await page.evaluate(() => ({
    taken: /** @type {any} */ (window).taken,
    violations: /** @type {any} */ (window).violations,
    planted: document.querySelectorAll('img[src="x"], svg[onload], [onerror], [onload], script:not([src]), iframe, object, embed').length,
    links: [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href') ?? '').filter((href) => !href.startsWith('/')),
  }));
  assert.deepEqual(found, { taken: undefined, violations: [], planted: 0, links: [] });
}

test('no text that a host can send runs as script, becomes an element, or makes a link', async () => {
  const host = await Host.connected('evil');
  const facts = Object.fromEntries(
    ['hostname', 'host_type', 'agent_version', 'os_version', 'nixpkgs_version', 'kernel', 'system', 'revision', 'boot_id'].map((fact) => [fact, attack(fact)]),
  );
  host.send({ type: 'register', protocol: 1, commands: ['switch', 'xss'], runs: [], reboot_required: true, generation: 7, ...facts });
  const lines = [
    attack('line'),
    `\u001b[31m${attack('colour')}\u001b[0m`,
    "\u001b]8;;javascript:window.taken='link'\u0007a link\u001b]8;;\u0007",
    '\u001b]0;a title\u0007\u001b[2J\u001b[1;1H\u001b[?1049h over everything',
    '\u202eright to left\u202c \u0000nul',
  ];
  host.run(RUN, lines, { status: 'error', message: attack('message') });
  host.run(NEXT, lines, { status: 'lost', message: attack('lost') });
  host.send({ type: 'heartbeat', pending_command: 'switch', ...facts });

  const { page, errors } = await browser.page();
  await page.addInitScript(() => {
    const violations = /** @type {string[]} */ ([]);
    Object.assign(window, { violations });
    document.addEventListener('securitypolicyviolation', (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  await page.goto(world.url);
  await row(page, 'evil').waitFor();
  for (const run of [RUN, NEXT]) await until('the run is there', async () => (await fetch(`${world.url}/api/hosts/evil/runs/${run}`)).status === 200);
  await isUnharmed(page);
  for (const path of ['/', '/hosts/evil', `/hosts/evil/runs/${RUN}`, `/hosts/evil/runs/${NEXT}`]) {
    await page.goto(world.url + path);
    await page.getByText('evil').first().waitFor();
    if (path.includes(RUN)) {
      // As text it is there, to the letter.
      await page.locator('.log-row', { hasText: attack('line') }).first().waitFor();
      await page.locator('.log-row', { hasText: attack('colour') }).first().waitFor();
      await until('the message is there', () => page.evaluate(() => document.body.textContent?.includes('message <img src=x onerror=')));
    }
    for (const element of await page.locator('[title]').all()) await element.hover({ trial: true, timeout: 200 }).catch(() => {});
    await isUnharmed(page);
  }
  assert.deepEqual(errors, []);
  host.socket.destroy();
  await page.context().close();
});

/** What turns text around, what is invisible, and what a terminal would take for itself. */
const HIDDEN = '\u202e\u2066\u200b\u200d\ufeff\u00ad\u0000\u001b[31m\u001b]52;c;aGk=\u0007\u{e0041}\u2028';
/** @param {string} text */
const sly = (text) => `${text}${HIDDEN}${text}`;

/** What is hidden in the texts of a page: those on screen, in tooltips, for assistive tools, and in the title. @param {import('playwright-core').Page} page */
async function hiddenIn(page) {
  return page.evaluate(() => {
    const texts = [document.title];
    const walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) texts.push(walk.currentNode.textContent ?? '');
    for (const element of document.querySelectorAll('*')) {
      for (const { name, value } of element.attributes) if (/^(title|alt|placeholder|aria-|data-label)/.test(name)) texts.push(value);
    }
    return texts.filter((text) => /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)).map((text) => JSON.stringify(text));
  });
}

test('no text of a host, a person or a program hides anything or turns anything around, wherever it is shown', async () => {
  const run = makeRun('anna', {
    run_id: RUN, status: 'error', exit_code: 1, command: sly('switch'), requested_by: sly('ada'), message: `${sly('it failed')}\n${sly('more')}`,
    cause: [{ kind: 'unit', name: sly('nginx'), summary: sly('nginx.service failed'), from: 0, to: 1, line: 0 }],
  });
  const older = makeRun('anna', { ...run, run_id: '2025-12-31T10-00-00-switch', cause: [] });
  const machines = [1, 2].map((n) => ({ machine_id: sly('m'), boot_id: `${n}${sly('b')}`, hostname: sly('web'), address: '192.0.2.7', agent_version: sly('1'), last_seen: new Date().toISOString(), connected: n === 1 }));
  const facts = Object.fromEntries(['hostname', 'agent_version', 'os_version', 'nixpkgs_version', 'kernel', 'system', 'revision', 'running'].map((fact) => [fact, sly(fact)]));
  const anna = makeHost('anna', { ...facts, reboot_required: true, reboot_reasons: [sly('kernel')], commands: ['pull', 'switch', 'rollback', sly('own')], run, deployment: { ...deployed(run), revision: sly('r') } });
  const hosts = [anna, { ...anna, id: 'berta', run: { ...run, host_id: 'berta' } }, { ...anna, id: 'clone', conflict: { since: new Date().toISOString(), machines } }];
  const time = new Date().toISOString();
  const { page, errors } = await browser.page();
  await Stage.set(page, {
    hosts,
    runs: [older],
    lines: [sly('the first line'), sly('the second line')],
    role: 'admin',
    answer: (path, method) => {
      if (method !== 'GET') return { status: 409, json: { title: sly('Conflict'), status: 409, detail: sly('it is busy') } };
      if (path === '/api/me') return { status: 200, json: { name: sly('ada'), role: 'admin', via: sly('session'), hosts: '*', expires: null } };
      if (path === '/api/tokens') return { status: 200, json: { uses_since: time, tokens: [{ id: 't', kind: 'api', name: sly('ci'), role: 'viewer', hosts: sly('*'), expires: null, in_file: false, created: time, created_by: sly('ada'), revoked: null, revoked_by: null, connected: false, last_used: null }] } };
      if (path === '/api/sessions') return { status: 200, json: { sessions: [{ id: 's', user: sly('ada'), created: time, seen: time, address: sly('a'), current: false }] } };
      if (path === '/api/audit') return { status: 200, json: { next: null, records: [{ time, user: sly('ada'), role: sly('admin'), via: sly('x'), address: sly('a'), action: 'command', host_id: 'anna', run_id: null, command: sly('own'), result: sly('refused'), detail: sly('why'), hosts: [sly('anna')] }] } };
      return null;
    },
  });
  const clean = async (/** @type {string} */ where) => assert.deepEqual(await hiddenIn(page), [], where);
  await page.goto(world.url);
  await row(page, 'anna').getByText('nginx.service failed[RLO]').first().waitFor();
  await page.locator('sy-failures .failure').waitFor();
  await clean('fleet');
  await row(page, 'anna').locator('sy-menu > button').click();
  await page.getByRole('menuitem', { name: /own\[RLO\]/i }).waitFor();
  await clean('menu');
  await page.getByRole('menuitem', { name: /^Rollback/ }).click();
  await page.locator('dialog.sheet li').first().waitFor();
  await clean('sheet');
  await page.locator('dialog.sheet button.primary').click();
  await page.locator('.toast', { hasText: 'it is busy[RLO]' }).waitFor();
  await clean('refusal');
  for (const [path, seen] of /** @type {[string, string][]} */ ([
    ['/hosts/anna', '.host-facts dd:has-text("kernel[RLO]")'],
    [`/hosts/anna/runs/${RUN}`, 'sy-cause .cause-lines li'],
    [`/hosts/anna/runs/${older.run_id}`, '.run-message pre:has-text("more[RLO]")'],
    ['/access', '.token-row'],
    ['/access?tab=sessions', '.session-row'],
    ['/access?tab=audit', '.audit-row'],
    [`/hosts/${encodeURIComponent(sly('nobody'))}`, 'text=Unknown host'],
    [`/hosts/anna/runs/${encodeURIComponent(sly('none'))}`, 'text=Run not found'],
    [`/nowhere/${encodeURIComponent(sly('there'))}`, 'text=Page not found'],
    ['/hosts/clone', 'sy-conflict li'],
  ])) {
    await page.goto(world.url + path);
    await page.locator(seen).first().waitFor();
    await clean(path);
  }
  // Where it decides something, nothing but plain letters passes for a name.
  const plain = /^[ -~“”–·?…]*$/;
  await page.locator('sy-conflict li button').first().click();
  const question = await page.locator('dialog h2').innerText();
  assert.match(question, /^Use “web\[U\+202E\].*” at 192\.0\.2\.7 \(boot 1b/);
  assert.match(question, plain);
  for (const said of await page.locator('sy-conflict li strong, sy-conflict li button').evaluateAll((all) => all.flatMap((one) => [one.textContent ?? '', one.getAttribute('aria-label') ?? '', one.getAttribute('title') ?? '']))) assert.match(said, plain);
  await clean('choice');
  assert.deepEqual(errors.filter((error) => !/status of 404/.test(error)), []);
  await page.context().close();
});

test('no text in the address runs as script', async () => {
  const { page } = await browser.page();
  for (const path of [`/hosts/${encodeURIComponent(attack('host'))}`, `/hosts/anna/runs/${encodeURIComponent(attack('run'))}`, `/?q=${encodeURIComponent(attack('query'))}#${encodeURIComponent(attack('hash'))}`]) {
    await page.goto(world.url + path);
    await page.locator('.brand').first().waitFor();
    const taken = await page.evaluate(() => /** @type {any} */ (window).taken);
    assert.equal(taken, undefined, path);
    assert.equal(await page.locator('img[src="x"], svg[onload], [onerror]').count(), 0);
  }
  await page.context().close();
});
