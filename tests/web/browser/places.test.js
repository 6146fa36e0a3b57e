/** Addresses that lead nowhere, the way back, keys, and what is shown while nothing comes. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, row, seesLine } from './support/browser.js';
import { until } from './support/process.js';
import { ago, deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([]);
});

after(async () => {
  await browser?.close();
  await world?.end();
});

const LINES = Array.from({ length: 300 }, (_, i) => `line ${i + 1}`);

/** @param {number} n */
const many = (n) => Array.from({ length: n }, (_, i) => makeHost(`web${String(i + 1).padStart(3, '0')}`, { run: makeRun(`web${String(i + 1).padStart(3, '0')}`), deployment: deployed(makeRun('x')) }));

test('an address that leads nowhere and a host that is unknown have a page that says so and leads on', async () => {
  const { page, errors } = await browser.page();
  await Stage.set(page, { hosts: many(1) });
  await page.goto(`${world.url}/hosts/ghost`);
  await page.getByRole('heading', { name: 'Unknown host “ghost”' }).waitFor();
  assert.equal(await page.locator('.host-facts:visible, sy-run-list:visible').count(), 0);
  await page.goto(`${world.url}/hosts/web001/nothing`);
  await page.getByRole('heading', { name: 'Page not found' }).waitFor();
  assert.match(await page.title(), /Page not found/);
  await page.getByText('Go to the fleet').click();
  await row(page, 'web001').waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('back leads to the place as it was left, with its scroll and its open logs', async () => {
  const { page } = await browser.page();
  await Stage.set(page, { hosts: many(120), lines: LINES });
  await page.goto(world.url);
  await page.locator('sy-host-row').nth(119).waitFor({ state: 'attached' });
  await row(page, 'web060').scrollIntoViewIfNeeded();
  await row(page, 'web060').getByText('Show log').click();
  await seesLine(row(page, 'web060'), 'line 300');
  const scroll = await page.evaluate(() => scrollY);
  assert.ok(scroll > 500, `${scroll} px`);
  await row(page, 'web060').locator('.host-name').click();
  await page.getByRole('heading', { name: 'web060' }).waitFor();
  await page.goBack();
  await seesLine(row(page, 'web060'), 'line 300');
  await until('it is scrolled to where it was', async () => Math.abs((await page.evaluate(() => scrollY)) - scroll) < 2);
  assert.equal(await page.locator('sy-host-row.open').count(), 1);
  await page.context().close();
});

test('the keys of a log work after a click on a phase, and stop shows for how long it has been stopping', async () => {
  const { page } = await browser.page();
  const run = makeRun('web001', { status: 'running', completed: null, duration_ms: null, started: ago(20), phase: 'building', phases: [{ phase: 'building', seq: 2, started: ago(10) }] });
  const stage = await Stage.set(page, { hosts: [makeHost('web001', { run })], lines: LINES });
  await page.goto(`${world.url}/hosts/web001/runs/${run.run_id}`);
  await seesLine(page.locator('sy-log'), 'line');
  await page.locator('.phases button').first().click();
  await page.keyboard.press('w');
  await page.locator('sy-log.wrapped').waitFor();
  await page.keyboard.press('/');
  await until('the search has the focus', () => page.locator('sy-find input').first().evaluate((input) => input === document.activeElement));
  await page.getByRole('button', { name: 'Stop switch on web001' }).click();
  await page.getByRole('button', { name: /^Stopping… [1-9]\d* s$/ }).waitFor();
  assert.equal(await page.locator('sy-stop button').isDisabled(), true);
  assert.deepEqual(stage.asked.map(({ body }) => body.command), ['stop']);
  await page.context().close();
});

test('a connection over which nothing comes says of when the page is', async () => {
  const { page } = await browser.page();
  await page.addInitScript(() => {
    const now = performance.now.bind(performance);
    let skipped = 0;
    performance.now = () => now() + skipped;
    Object.assign(window, { skip: (/** @type {number} */ ms) => (skipped += ms) });
  });
  const stage = await Stage.set(page, { hosts: many(1) });
  await page.goto(world.url);
  await row(page, 'web001').waitFor();
  await page.evaluate(() => /** @type {any} */ (window).skip(12_000));
  await page.locator('sy-banner').getByText(/Showing the state as of \d\d:\d\d:\d\d\./).waitFor();
  stage.send({ type: 'tick', time: new Date().toISOString() });
  await page.locator('sy-banner').waitFor({ state: 'hidden' });
  await page.context().close();
});
