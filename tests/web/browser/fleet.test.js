import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { command, launch, row, seesLine, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start(['anna', 'berta', 'clara', 'dora']);
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {import('playwright-core').Page} page */
function order(page) {
  return page.locator('sy-host-row:visible').evaluateAll((rows) => rows.map((r) => /** @type {HTMLElement} */ (r).dataset['host']));
}

test('a host that fails comes first, but not while the pointer is among the hosts', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  const clara = row(page, 'clara');
  await command(clara, 'switch');
  await seesLineOf('clara', page);
  await clara.getByText('Hide log').click();
  world.host('clara').exit(1);
  await clara.locator('sy-state[data-state="failed"]').waitFor();
  assert.deepEqual(await order(page), ['anna', 'berta', 'clara', 'dora']);
  await page.mouse.move(5, 5);
  await until('clara comes first', async () => (await order(page))[0] === 'clara');
  assert.deepEqual(await order(page), ['clara', 'anna', 'berta', 'dora']);
  await page.context().close();
});

/** @param {string} name @param {import('playwright-core').Page} page */
async function seesLineOf(name, page) {
  world.host(name).out(`hello from ${name}`);
  await seesLine(row(page, name), `hello from ${name}`);
}

test('the filter and the states narrow the list, and a selection means what is shown', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  await page.getByPlaceholder('Filter hosts').fill('anna');
  await until('only anna is shown', async () => (await order(page)).join() === 'anna');
  await page.getByLabel('Select all hosts that are shown').check();
  await page.getByText('1 host selected').waitFor();
  await page.getByPlaceholder('Filter hosts').fill('nobody');
  await page.getByText('No hosts match').waitFor();
  await page.getByPlaceholder('Filter hosts').fill('');
  await page.locator('.count[data-state="failed"]').click();
  await until('only clara is shown', async () => (await order(page)).join() === 'clara');
  await page.context().close();
});

test('a host out of contact is shown as lost while its run may go on, and takes up where it was', async () => {
  const { page, errors } = await browser.page();
  await page.goto(world.url);
  const berta = row(page, 'berta');
  await command(berta, 'switch');
  world.host('berta').many(1, 10);
  await seesLine(berta, 'line 10');
  await world.host('berta').disconnect();
  await berta.locator('sy-state[data-state="lost"]').waitFor();
  await berta.getByText('No contact · it may still be running').waitFor();
  await berta.getByText('Switch may still be running').waitFor();
  await shot(page, 'lost-dark');
  world.host('berta').many(11, 20);
  await world.host('berta').reconnect();
  await seesLine(berta, 'line 20');
  world.host('berta').exit(0);
  await berta.locator('sy-state[data-state="ok"]').waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a command for a host that is away waits in the queue and can be taken out of it', async () => {
  const { page } = await browser.page();
  await world.host('dora').disconnect();
  await page.goto(world.url);
  const dora = row(page, 'dora');
  await dora.locator('sy-state[data-state="lost"]').waitFor();
  await command(dora, 'switch');
  await dora.locator('sy-state[data-state="queued"]').waitFor();
  await dora.getByText(/Waiting for the host to connect \(expires \d\d:\d\d\)/).waitFor();
  await dora.getByText('Not started').waitFor();
  await dora.getByText('Cancel', { exact: true }).click();
  await until('the buttons are back', () => dora.locator('button[data-command="deploy"]').isVisible());
  assert.equal((await world.host('dora').run()).status, 'stopped');
  await page.context().close();
});

test('a command from the menu is named in the row while it runs', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  const anna = row(page, 'anna');
  await command(anna, 'build');
  await anna.locator('.elapsed', { hasText: /^\d+:\d\d · Build$/ }).waitFor();
  world.host('anna').exit(0);
  await anna.locator('.elapsed', { hasText: 'Build ok' }).waitFor();
  await page.context().close();
});

test('the keyboard alone starts a run and leads to its page', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  await row(page, 'anna').locator('sy-actions sy-menu > button').focus();
  await page.keyboard.press('Enter');
  await row(page, 'anna').getByRole('menuitem', { name: 'Pull anna' }).focus();
  await page.keyboard.press('Enter');
  await seesLineOf('anna', page);
  world.host('anna').exit(0);
  await row(page, 'anna').locator('.elapsed', { hasText: 'Pull ok' }).waitFor();
  await row(page, 'anna').getByText('Open run →').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Pull on anna' }).waitFor();
  await page.context().close();
});

test('a clock that is an hour off is said in the row and on the page of the host, a right one is not', async (t) => {
  const library = ['x86_64', 'aarch64'].map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketimeMT.so.1`).find((path) => existsSync(path));
  if (!library) return t.skip('SKIPPED: libfaketime is not installed');
  const clock = { LD_PRELOAD: library, FAKETIME: '+3600', FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' };
  const skewed = await World.start(['early', 'right'], { environments: { early: clock } });
  const { page } = await browser.page();
  try {
    await page.goto(skewed.url);
    await row(page, 'early').getByText(/clock 1 h ahead|clock 59 min 5\d s ahead/).waitFor();
    assert.equal(await row(page, 'right').getByText('clock').count(), 0);
    await page.goto(`${skewed.url}/hosts/early`);
    await page.locator('.host-facts .alarming', { hasText: /Clock(1 h|59 min 5\d s) ahead/ }).waitFor();
    await page.goto(`${skewed.url}/hosts/right`);
    await page.getByText('connected', { exact: true }).waitFor();
    assert.equal(await page.getByText('Clock').isVisible(), false);
  } finally {
    await page.context().close();
    await skewed.end();
  }
});
