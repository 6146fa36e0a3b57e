/** Tokens, sessions and the audit log, by an admin and by who is none. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE, shot } from './support/browser.js';
import { until } from './support/process.js';
import { WireAgent } from './support/wire.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

const PASSWORD = 'correct horse';
const HOSTILE = `<img src=x onerror="window.taken=1"><script>window.taken=1</script>"'>{{7*7}}`;

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { users: PASSWORD, others: { vera: 'viewer', web: 'admin hosts=web-*', bob: 'operator' }, wire: ['anna', 'berta', 'web-1'] });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {string} path @param {string} [user] @param {Parameters<Awaited<ReturnType<typeof launch>>['page']>[0]} [options] */
async function open(path, user = 'ada', options = {}) {
  const { page, errors } = await browser.page(options);
  await page.goto(world.url + path);
  await signIn(page, user);
  return { page, errors };
}

/** @param {Page} page @param {string} user @param {string} [password] */
async function signIn(page, user, password = PASSWORD) {
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  if (password === PASSWORD) await page.locator('dialog.login').waitFor({ state: 'detached' });
}

/** @param {string} name */
const wire = (name) => /** @type {WireAgent} */ (world.wire.get(name));

/** @param {Page} page @param {string} name */
const tokens = (page, name) => page.locator(`.token-row[data-token="${name}"]`);

/** Says yes to what is asked, and gives what was asked. @param {Page} page @param {string} yes */
async function agree(page, yes) {
  const dialog = page.locator('dialog.confirm');
  const text = (await dialog.textContent()) ?? '';
  await dialog.getByRole('button', { name: yes, exact: true }).click();
  return text;
}

test('the token of a host is replaced without downtime, and revoking the old one closes what still used it', async () => {
  const old = await wire('anna').connect();
  const { page, errors } = await open('/access');
  const rows = tokens(page, 'anna');
  await rows.locator('sy-state', { hasText: 'connected' }).waitFor();
  await rows.getByText('from agents file').waitFor();
  await rows.getByRole('button', { name: 'New token for anna' }).click();
  await page.getByLabel('Your password').fill('wrong horse');
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText('wrong password or one-time code').waitFor();
  await page.keyboard.type(PASSWORD);
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByRole('heading', { name: 'New token of anna' }).waitFor();
  await page.getByText('anna uses its old token').waitFor();
  await shot(page, 'access-token-dark');
  const secret = await page.getByLabel('The token', { exact: true }).inputValue();
  assert.match(secret, /^[0-9a-f]{64}$/);
  for (let slip = 0; slip < 3; slip += 1) {
    await page.keyboard.press('Escape');
    assert.equal(await page.getByLabel('The token', { exact: true }).isVisible(), true, 'it is not lost by a slip');
  }
  await page.getByRole('button', { name: 'I have saved it' }).click();
  await until('it is shown once', async () => !(await page.content()).includes(secret));

  await rows.nth(1).waitFor();
  await until('both say that there are two', async () => (await rows.getByText('2 valid tokens').count()) === 2);
  await rows.nth(0).getByText('anna still uses this token').waitFor();
  await rows.nth(1).getByText('Put this token into its token file').waitFor();
  assert.equal(await rows.nth(0).getByRole('button', { name: 'New token for anna' }).isDisabled(), true);
  assert.equal(old.closeCode, null);

  const fresh = await new WireAgent(world.port, { name: 'anna', secret }).connect();
  assert.equal(await until('the new connection takes over', () => old.closeCode), 4409);
  await page.mouse.move(300, 300);
  await rows.nth(0).getByText('anna now uses its other token. Revoke this one.').waitFor();
  await rows.nth(1).locator('sy-state', { hasText: 'connected' }).waitFor();
  await shot(page, 'access-rotation-dark');
  await rows.nth(0).getByRole('button', { name: 'Revoke' }).click();
  assert.match(await agree(page, 'Revoke'), /not connected with it.*has another token and is connected with that one.*remove the line there too/);
  await until('one is left', async () => (await rows.count()) === 1);
  assert.equal(fresh.closeCode, null, 'the host stays connected');

  await rows.getByRole('button', { name: 'Revoke' }).click();
  await shot(page, 'access-revoke-dark');
  const asked = performance.now();
  assert.match(await agree(page, 'Revoke'), /is disconnected immediately.*It is the only one: anna cannot connect/);
  assert.equal(await until('its connection closes', () => fresh.closeCode), 4403);
  assert.ok(performance.now() - asked < 2000);
  await page.getByRole('button', { name: 'Show 2 revoked or expired' }).click();
  await until('both are there as revoked', async () => (await rows.locator('sy-state', { hasText: 'revoked' }).count()) === 2);
  await shot(page, 'access-revoked-dark');
  await assert.rejects(new WireAgent(world.port, { name: 'anna', secret }).connect(), /401/);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a token for the API works with the role, hosts and expiry it was given, until it is revoked', async () => {
  const { page } = await open('/access');
  await page.getByRole('button', { name: 'New token…' }).click();
  await page.getByLabel('The API').check();
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByLabel('Name', { exact: true }).fill('not a name');
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText('is not a valid user name').waitFor();
  await page.getByLabel('Name', { exact: true }).fill('ci');
  await page.getByLabel('Role').selectOption('operator');
  await page.getByLabel('Hosts', { exact: true }).fill('web-*, berta');
  await page.getByLabel('Expires').selectOption('7 d');
  await shot(page, 'access-issue-dark');
  await page.getByRole('button', { name: 'Create token' }).click();
  const secret = await page.getByLabel('The token', { exact: true }).inputValue();
  await page.getByText('curl --header').waitFor();
  await page.getByRole('button', { name: 'I have saved it' }).click();
  const row = tokens(page, 'ci');
  await row.getByText('API, operator of web-*, berta').waitFor();
  await row.getByText('not used since restart').waitFor();
  await row.getByText(/expires in [67] d/).waitFor();
  const ask = () => fetch(`${world.url}/api/me`, { headers: { Authorization: `Bearer ${secret}` } });
  assert.deepEqual(await (await ask()).json().then(({ name, role, hosts }) => ({ name, role, hosts })), { name: 'ci', role: 'operator', hosts: 'web-*,berta' });
  await page.mouse.move(200, 200);
  await row.getByText('used just now').waitFor();
  await row.getByRole('button', { name: 'Revoke' }).click();
  assert.match(await agree(page, 'Revoke'), /Revoke the API token of ci\?/);
  await row.waitFor({ state: 'detached' });
  assert.equal((await ask()).status, 401);
  await page.context().close();
});

test('an enrolment secret lets one host of its pattern in, and is then shown as used', async () => {
  const { page } = await open('/access');
  await page.getByRole('button', { name: 'New token…' }).click();
  await page.getByLabel('Enrolment').check();
  await page.getByLabel('Hosts', { exact: true }).fill('new-*');
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText('enrolment_file = ').waitFor();
  const secret = await page.getByLabel('The token', { exact: true }).inputValue();
  await page.getByRole('button', { name: 'I have saved it' }).click();
  await tokens(page, 'new-*').waitFor();
  const agent = new WireAgent(world.port, { name: 'new-1', secret });
  void agent.connect().catch(() => {});
  const token = await until('it has its token', () => agent.token);
  await new WireAgent(world.port, { name: 'new-1', secret: token }).connect();
  await page.mouse.move(210, 200);
  await tokens(page, 'new-1').getByText('by new-1 by enrolment').waitFor();
  await tokens(page, 'new-*').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Show \d+ revoked/ }).click();
  await tokens(page, 'new-*').locator('sy-state', { hasText: 'used' }).waitFor();
  agent.close();
  await page.context().close();
});

test('an admin ends a session, and the other browser is signed out within a second', async () => {
  const { page: other } = await open('/', 'bob');
  const { page: third } = await open('/', 'bob');
  await other.locator('sy-host-row').first().waitFor();
  const { page, errors } = await open('/access?tab=sessions');
  const rows = page.locator('.session-row[data-user="bob"]');
  await until('both are there', async () => (await rows.count()) === 2);
  const own = page.locator('.session-row[data-current="true"]');
  await own.getByText('this browser').waitFor();
  assert.equal(await own.getAttribute('data-user'), 'ada');
  await rows.nth(0).getByText('from 127.0.0.1').waitFor();
  await shot(page, 'access-sessions-dark');
  // The older one is the first browser's.
  await rows.nth(1).getByRole('button', { name: 'End the session of bob' }).click();
  const asked = page.waitForRequest((request) => request.method() === 'DELETE').then(() => Date.now());
  const told = other.waitForFunction(() => document.body.textContent?.includes('Your session has ended') && Date.now(), undefined, { polling: 10 });
  assert.match(await agree(page, 'End'), /The browser at 127\.0\.0\.1 is signed out immediately/);
  const took = Number(await (await told).jsonValue()) - (await asked);
  assert.ok(took < 1000, `${took} ms`);
  assert.equal(await third.locator('dialog.login').count(), 0, 'only that one');
  await until('it is gone', async () => (await rows.count()) === 1);

  await signIn(other, 'bob');
  await page.mouse.move(220, 200);
  await page.getByRole('button', { name: 'End all 2 sessions of bob' }).click();
  assert.match(await agree(page, 'End'), /bob is signed out immediately, in every browser/);
  for (const one of [other, third]) await one.getByText('Your session has ended').waitFor();
  assert.equal(await page.locator('dialog.login').count(), 0);
  await page.getByRole('button', { name: 'Sign everyone out…' }).click();
  await page.getByLabel('Your password').fill('wrong horse');
  await page.locator('dialog.confirm').getByRole('button', { name: 'Sign everyone out', exact: true }).click();
  await page.getByText('wrong password or one-time code').waitFor();
  await page.getByLabel('Your password').fill(PASSWORD);
  assert.match(await agree(page, 'Sign everyone out'), /That includes you/);
  await page.getByText('Your session has ended').waitFor();
  // Signed in again, one is where one was.
  await signIn(page, 'ada');
  await until('the list is of now', async () => (await page.locator('.session-row').count()) === 1);
  assert.deepEqual(errors, []);
  for (const one of [page, other, third]) await one.context().close();
});

test('the audit log shows a failed sign-in, a refused command, the run of one that was not, and no name that is none', async () => {
  const berta = await wire('berta').connect();
  const { page: stranger } = await browser.page();
  await stranger.goto(world.url);
  await signIn(stranger, HOSTILE, 'wrong');
  await stranger.getByText('Wrong user name, password or code.').waitFor();
  await signIn(stranger, 'vera');
  const headers = { Origin: world.url };
  const refused = await stranger.request.post(`${world.url}/api/hosts/berta/command`, { headers, data: { command: 'switch' } });
  assert.equal(refused.status(), 403);
  const { page, errors } = await open('/access?tab=audit');
  const accepted = await page.request.post(`${world.url}/api/hosts/berta/command`, { headers, data: { command: 'switch' } });
  const { run_id } = await accepted.json();
  await berta.begin();
  await page.getByRole('button', { name: 'Refresh' }).click();
  const rows = page.locator('.audit-row');
  await page.locator('.audit-row[data-action="command"]', { hasText: 'berta' }).first().waitFor();
  const failed = page.locator('.audit-row[data-action="login"][data-result="refused"]', { hasText: 'unknown user' });
  assert.equal(await failed.locator('.name').textContent(), '–', 'what may be a password is not kept');
  assert.equal((await page.content()).includes('onerror'), false);
  assert.equal(await failed.locator('sy-state svg[data-icon="failed"]').count(), 1);
  assert.match((await failed.textContent()) ?? '', /^failed.*127\.0\.0\.1.*Sign in.*wrong user, password or one-time code/);
  const denied = rows.filter({ hasText: 'this needs the role operator; vera has the role viewer' });
  assert.equal(await denied.locator('sy-state svg[data-icon="failed"]').count(), 1);
  assert.match((await denied.textContent()) ?? '', /^refused.*vera.*viewer/);
  assert.equal(await page.locator('img[src="x"]').count(), 0);
  assert.equal(await page.evaluate(() => 'taken' in window), false);
  assert.equal(await rows.first().locator('sy-state svg[data-icon="ok"]').count(), 1);
  assert.match((await rows.first().textContent()) ?? '', /^ok.*ada.*Switch.*berta/, 'the newest comes first');
  await shot(page, 'access-audit-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'access-audit-light');

  await page.getByLabel('Result').selectOption('refused');
  await page.getByLabel('Who').fill('VER');
  await until('only what vera was refused is there', async () => (await rows.count()) === 1 && (await denied.count()) === 1);
  assert.equal(new URL(page.url()).search, '?tab=audit&user=VER&result=refused');
  await page.reload();
  await denied.waitFor();
  assert.equal(await rows.count(), 1, 'a link shows the same');
  await page.getByLabel('Who').fill('nobody at all');
  await page.getByText('No records match.').waitFor();
  await page.getByLabel('Who').fill('');
  await page.getByLabel('Result').selectOption('');
  // The list is another one as soon as the answer is there; a link of the old one would be gone under the pointer.
  const answered = page.waitForResponse((answer) => /\/api\/audit\?.*&host=bert$/.test(answer.url()));
  await page.getByLabel('Host').fill('bert');
  await answered;
  await until('only what is about berta is there', async () => (await rows.count()) > 0 && (await rows.count()) === (await rows.filter({ hasText: 'berta' }).count()));
  await page.getByRole('link', { name: 'run', exact: true }).first().click();
  await page.waitForURL(`**/hosts/berta/runs/${run_id}`);
  berta.end('ok');
  assert.deepEqual(errors, []);
  await stranger.context().close();
  await page.context().close();
});

test('an audit log of more than one page is read on to its beginning', async () => {
  const { page: vera } = await open('/access', 'vera');
  for (let i = 0; i < 130; i++) await vera.request.delete(`${world.url}/api/sessions`, { headers: { Origin: world.url } });
  await vera.context().close();
  const { page } = await open('/access?tab=audit');
  const rows = page.locator('.audit-row');
  await until('a page is there', async () => (await rows.count()) === 100);
  const total = Number((await (await page.request.get(`${world.url}/api/audit?limit=1000`)).json()).records.length);
  assert.ok(total > 100, `${total} records`);
  const older = page.getByRole('button', { name: 'Older records' });
  while (await older.isVisible()) {
    const shown = await rows.count();
    await older.click();
    await until('more are there', async () => (await rows.count()) > shown);
  }
  assert.equal(await rows.count(), total);
  await page.context().close();
});

test('who is no admin of every host sees who they are, is told why there is no more, and may end all their sessions', async () => {
  const { page: vera, errors } = await open('/access', 'vera');
  await vera.getByText('Your role is viewer: you can see hosts, runs and logs, but not start runs.').waitFor();
  await vera.getByText('Only admins of every host see tokens, the sessions of others and the audit log. To change this, ask the person who manages the users file.').waitFor();
  for (const broken of ['.tabs', '.token-row', '.problem', '.toast']) assert.equal(await vera.locator(broken).filter({ visible: true }).count(), 0, broken);
  await shot(vera, 'access-viewer-dark');
  const { page: web } = await open('/access?tab=audit', 'web');
  await web.getByText('You are an admin of web-* only.').waitFor();
  assert.equal(await web.locator('.tabs').isVisible(), false);

  const { page: elsewhere } = await open('/', 'vera');
  await vera.getByRole('button', { name: 'Sign out everywhere…' }).click();
  assert.match(await agree(vera, 'Sign out everywhere'), /signed out immediately, here and in every other browser/);
  for (const one of [vera, elsewhere]) await one.getByText('Your session has ended').waitFor();
  assert.equal(await web.locator('dialog.login').count(), 0, 'nobody else is signed out');
  assert.deepEqual(errors, []);
  for (const one of [vera, web, elsewhere]) await one.context().close();
});

test('the keyboard alone leads to the tokens, makes one and revokes it', async () => {
  const { page } = await open('/');
  const me = page.getByRole('link', { name: 'ada: account, access and sessions' });
  await me.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Access' }).waitFor();
  await tokens(page, 'berta').waitFor();
  /** @param {string} name */
  const tabTo = async (name) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');
      if (at.startsWith(name)) return;
    }
    throw new Error(`Tab does not lead to ${name}`);
  };
  await tabTo('Sessions');
  await page.keyboard.press('Enter');
  await page.locator('.session-row').first().waitFor();
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await tokens(page, 'berta').waitFor();
  await tabTo('New token for berta');
  await page.keyboard.press('Enter');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByLabel('The token', { exact: true }).waitFor();
  await tabTo('I have saved it');
  await page.keyboard.press('Enter');
  await tokens(page, 'berta').nth(1).waitFor();
  await tabTo('Revoke the token of berta created');
  await page.waitForResponse('**/api/tokens');
  await page.waitForResponse('**/api/tokens');
  assert.match(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? ''), /^Revoke the token of berta created/, 'a list that is read again takes no focus away');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await until('it is revoked', async () => (await tokens(page, 'berta').count()) === 1);
  await page.context().close();
});

test('what cannot be read says why and how to go on, and what was typed stays', async () => {
  const { page } = await open('/access');
  await page.locator('.token-row').first().waitFor();
  await page.getByLabel('Filter tokens').fill('web-1');
  await until('one is shown', async () => (await page.locator('.token-row').count()) === 1);
  await page.route('**/api/tokens', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"the disk is full"}' }));
  await page.mouse.move(240, 200);
  await page.getByText('Could not load the tokens. the disk is full').waitFor();
  await page.unroute('**/api/tokens');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.locator('.problem').waitFor({ state: 'hidden' });
  assert.equal(await page.getByLabel('Filter tokens').inputValue(), 'web-1');
  await page.getByLabel('Filter tokens').fill('no such');
  await page.getByText('No tokens match the filter.').waitFor();
  await page.context().close();
});

test('on a phone everything fits, and in light as well', async () => {
  const { page } = await open('/access', 'ada', { ...PHONE, colorScheme: 'light' });
  for (const tab of ['tokens', 'sessions', 'audit']) {
    await page.goto(`${world.url}/access?tab=${tab}`);
    await page.locator('.access-row').first().waitFor();
    for (const width of [360, 390]) {
      await page.setViewportSize({ width, height: 844 });
      assert.equal(await page.evaluate(() => Math.max(document.documentElement.scrollWidth, .../** @type {HTMLElement[]} */ ([...document.querySelectorAll('sy-top > *')]).map((part) => part.getBoundingClientRect().right))) <= width, true, `${tab}, ${width}`);
    }
    await shot(page, `access-${tab}-phone`);
  }
  await page.goto(`${world.url}/access`);
  await page.getByRole('button', { name: 'New token…' }).click();
  await page.getByLabel('The API').check();
  await shot(page, 'access-issue-phone');
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(`${world.url}/access`);
  await page.locator('.access-row').first().waitFor();
  await shot(page, 'access-tokens-light');
  await page.context().close();
});
