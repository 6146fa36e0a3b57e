/** What `/health` warns of is on the page of those who may know it. */

import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, PHONE, row, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

const PASSWORD = 'correct horse';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { users: PASSWORD, others: { vera: 'viewer', part: 'admin hosts=anna' }, wire: ['anna'] });
  await world.stopDashboard();
  const database = join(world.dir, 'data', 'switchyard.sqlite');
  // What is not yet in the file would mend it.
  for (const end of ['-wal', '-shm']) rmSync(database + end, { force: true });
  writeFileSync(database, 'damaged');
  await world.startDashboard();
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {Page} page @param {string} user */
async function signIn(page, user) {
  await page.goto(world.url);
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('dialog.login').waitFor({ state: 'detached' });
  await row(page, 'anna').waitFor();
}

/** Has the page ask for the health of the dashboard, and waits until it has seen an answer. @param {Page} page */
async function ask(page) {
  await Promise.all([page.waitForResponse('**/health'), page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))]);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

test('an admin is told that the database was made anew and what to do, in a line that moves nothing', async () => {
  const { page, errors } = await browser.page();
  await page.route('**/health', (route) => route.fulfill({ json: { status: 'ok' } }));
  await signIn(page, 'ada');
  const banner = page.locator('sy-warnings');
  await ask(page);
  assert.equal(await banner.isVisible(), false);
  await page.locator('.bulk-text').waitFor();
  await page.locator('sy-host-row .row-text', { hasText: 'Never connected' }).waitFor();
  const boxes = () => Promise.all(['sy-top', 'sy-bulk', 'sy-host-row'].map((part) => page.locator(part).boundingBox()));
  const before = await boxes();
  await page.unroute('**/health');
  await ask(page);
  const text = banner.locator('[role="status"] p');
  await text.getByText(/^The database was damaged .*Then move it away or delete it\.$/).waitFor();
  assert.deepEqual(await boxes(), before, 'nothing moves');
  const height = (await text.boundingBox())?.height ?? Infinity;
  assert.ok(height < 24, `one line is ${height} px high`);
  await shot(page, 'warning-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'warning-light');
  await banner.getByRole('button', { name: 'Show all' }).click();
  await banner.getByRole('button', { name: 'Show less', expanded: true }).waitFor();
  assert.equal(await text.evaluate((p) => p.scrollWidth <= p.clientWidth), true, 'all of it is seen');
  await shot(page, 'warning-open-light');
  await banner.getByRole('button', { name: 'Hide' }).click();
  await banner.waitFor({ state: 'hidden' });
  await page.reload();
  await row(page, 'anna').waitFor();
  await page.getByRole('link', { name: 'ada: account, access and sessions' }).waitFor();
  // The first one may have been asked for before it was known who looks.
  for (let times = 0; times < 2; times++) await ask(page);
  assert.equal(await banner.isVisible(), false, 'who has read it has hidden it');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('messages stand above all the banners there are', async () => {
  const { page } = await browser.page();
  await signIn(page, 'ada');
  await page.locator('sy-warnings').waitFor();
  await page.route('**/health', (route) => route.fulfill({ status: 503, json: { status: 503, title: 'x', detail: 'the disk is full', warnings: ['the clock is wrong'] } }));
  await ask(page);
  const banners = page.locator('.banner').filter({ visible: true });
  await until('there are two', async () => (await banners.count()) === 2);
  await page.route('**/api/hosts/anna/command', (route) => route.fulfill({ status: 503, json: { status: 503, title: 'x', detail: 'no room' } }));
  await row(page, 'anna').getByRole('button', { name: 'More commands for anna' }).click();
  await page.getByRole('menuitem', { name: /^Pull/ }).click();
  const toast = page.locator('.toast', { hasText: 'no room' });
  await toast.waitFor();
  const [message, first] = await Promise.all([toast.boundingBox(), banners.first().boundingBox()]);
  assert.ok(message && first && message.y + message.height <= first.y, `${message?.y} + ${message?.height}, ${first?.y}`);
  await page.context().close();
});

test('whoever is no admin of every host is not told', async () => {
  for (const user of ['vera', 'part']) {
    const { page } = await browser.page();
    await signIn(page, user);
    await page.getByRole('link', { name: `${user}: account, access and sessions` }).waitFor();
    const { warnings } = await (await page.request.get(`${world.url}/health`)).json();
    assert.deepEqual(warnings, ['there is a warning; its text is in the dashboard\'s journal, and in /health for admins'], user);
    for (let times = 0; times < 2; times++) await ask(page);
    assert.equal(await page.locator('sy-warnings').isVisible(), false, user);
    await page.context().close();
  }
});

test('on a phone the warning is one line that opens, and it ends once somebody has looked', async () => {
  const { page, errors } = await browser.page(PHONE);
  await signIn(page, 'ada');
  const banner = page.locator('sy-warnings');
  await banner.waitFor();
  const height = async () => (await banner.boundingBox())?.height ?? Infinity;
  assert.ok((await height()) <= 48, `${await height()} px`);
  await shot(page, 'warning-phone-dark');
  await banner.getByRole('button', { name: 'Show all' }).tap();
  await until('it is open', async () => (await height()) > 100);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  await shot(page, 'warning-open-phone-dark');
  const data = join(world.dir, 'data');
  for (const file of readdirSync(data)) if (file.includes('-damaged-')) rmSync(join(data, file));
  await until('it ends', async () => {
    await ask(page);
    return !(await banner.isVisible());
  }, 30_000);
  assert.deepEqual(errors, []);
  await page.context().close();
});
