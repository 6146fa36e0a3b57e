import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PHONE, bulkCommand, launch, row, seesLine, shot } from './support/browser.js';
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

/** @param {string} host @param {string} command */
const start = (host, command) => world.host(host).start(command);

test('a failed run says what failed, with its exit code in words', async () => {
  const { page, errors } = await browser.page();
  const run = await start('anna', 'switch');
  const anna = world.host('anna');
  anna.err('building the system configuration...');
  anna.many(1, 30);
  // Between standard output and standard error there is no order: the error is to be the last line.
  await until('the lines before the error are there', async () => (await anna.run()).lines === 31);
  anna.err("error: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-nginx-1.29.drv'.");
  anna.exit(4);
  await anna.ended('error');
  await page.goto(world.url);
  await row(page, 'anna').getByText('nginx-1.29 failed to build').waitFor();
  await page.goto(`${world.url}/hosts/anna/runs/${run}`);
  await page.getByText('Failed before activation (exit code 4). The host still runs the old system.').waitFor();
  await seesLine(page.locator('sy-log'), 'error: Cannot build');
  await page.locator('.log-row.error').waitFor();
  await shot(page, 'run-failed-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'run-failed-light');
  assert.match(await page.title(), /✗/);
  assert.equal(await page.locator('link[rel="icon"]').getAttribute('href'), '/icons/failed.svg');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('stopping in the middle of an activation asks first', async () => {
  const { page } = await browser.page();
  await start('berta', 'switch');
  world.host('berta').err('stopping the following units: nginx.service');
  world.host('berta').err('activating the configuration...');
  await page.goto(world.url);
  const berta = row(page, 'berta');
  await berta.getByText('⚡ Activating').waitFor();
  await berta.locator('.stop').click();
  const dialog = page.locator('dialog');
  await dialog.getByText('Stop the activation of berta?').waitFor();
  await dialog.getByText('half switched').waitFor();
  await shot(page, 'force-stop-dark');
  await dialog.getByText('Let it finish').click();
  await dialog.waitFor({ state: 'detached' });
  assert.equal((await world.host('berta').run()).status, 'running');
  await berta.locator('.stop').click();
  await dialog.getByText('Force stop').click();
  await berta.locator('sy-state[data-state="stopped"]').waitFor();
  await page.context().close();
});

test('an activation that begins between the click and the request is asked about, too', async () => {
  const { page } = await browser.page();
  await start('berta', 'switch');
  await page.goto(world.url);
  const berta = row(page, 'berta');
  world.host('berta').nix('building', 0, 42);
  await berta.getByText('🔨 Building').waitFor();
  const dialog = page.locator('dialog');

  // The news does not come to the page before its request has gone.
  await page.route('**/api/hosts/berta/command', async (route) => {
    world.host('berta').err('activating the configuration...');
    await until('the activation has begun', async () => (await world.host('berta').run()).phase === 'activation');
    await route.continue();
  });
  await berta.locator('.stop').click();
  await dialog.getByText('half switched').waitFor();
  assert.equal((await world.host('berta').run()).status, 'running');
  await page.unroute('**/api/hosts/berta/command');

  // A run that ends while the question is open is not mistaken for the next one.
  world.host('berta').exit(0);
  await berta.locator('sy-state[data-state="ok"]').waitFor();
  await start('berta', 'build');
  await berta.locator('sy-state[data-state="running"]').waitFor();
  await dialog.getByText('Force stop').click();
  await page.getByText('Nothing was stopped').waitFor();
  world.host('berta').exit(0);
  await world.host('berta').ended('ok');
  await page.context().close();
});

test('a line with markup stays text', async () => {
  const { page, errors } = await browser.page();
  const run = await start('clara', 'build');
  const markup = '<script>document.title = "owned"</script><img src=x onerror="document.title = 1">';
  world.host('clara').out(markup);
  await page.goto(`${world.url}/hosts/clara/runs/${run}`);
  await seesLine(page.locator('sy-log'), markup);
  assert.equal(await page.locator('.log-row img, .log-row script').count(), 0);
  assert.doesNotMatch(await page.title(), /owned|^1$/);
  world.host('clara').exit(0);
  await page.getByText('Succeeded').waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a burst of 100,000 lines leaves few nodes, follows its end, and its beginning can be read', async () => {
  const { page } = await browser.page();
  const run = await start('dora', 'build');
  await page.goto(`${world.url}/hosts/dora/runs/${run}`);
  world.host('dora').many(1, 100_000);
  await page.locator('.log-row[data-seq="99999"]', { hasText: 'line 100000' }).waitFor();
  assert.ok((await page.locator('.log-scroll *').count()) < 200);
  await page.locator('.log-scroll').press('Home');
  await page.locator('.log-row[data-seq="0"]', { hasText: 'line 1' }).waitFor();
  await page.locator('.log-scroll').press('w');
  await page.locator('.log-scroll').press('End');
  await page.locator('.log-row[data-seq="99999"]', { hasText: 'line 100000' }).waitFor();
  world.host('dora').exit(0);
  await page.getByText('Succeeded').waitFor();
  await page.context().close();
});

test('several hosts are commanded at once, and one that is busy says why not', async () => {
  const { page } = await browser.page();
  await start('anna', 'build');
  await world.host('anna').ended('running');
  await page.goto(world.url);
  for (const name of ['anna', 'clara', 'dora']) await row(page, name).locator('input[type="checkbox"]').check();
  await page.getByText('3 hosts selected').waitFor();
  await bulkCommand(page, 'pull');
  const results = page.locator('sy-results');
  await results.getByText('Pull on 3 hosts').waitFor();
  await results.getByText('1 refused · 2 running').waitFor();
  await results.locator('li', { hasText: 'anna' }).getByText('anna is busy: build is running').waitFor();
  for (const name of ['clara', 'dora']) await row(page, name).locator('sy-state[data-state="running"]').waitFor();
  await shot(page, 'bulk-dark');
  for (const name of ['anna', 'clara', 'dora']) world.host(name).exit(0);
  for (const name of ['clara', 'dora']) await row(page, name).locator('.elapsed', { hasText: 'Pull ok' }).waitFor();
  await row(page, 'anna').locator('.elapsed', { hasText: 'Build ok' }).waitFor();
  await page.context().close();
});

test('a host has a page with its facts and runs', async () => {
  const { page, errors } = await browser.page();
  await page.goto(`${world.url}/hosts/anna`);
  await page.locator('.run-item').first().waitFor();
  await page.getByText('connected', { exact: true }).waitFor();
  await shot(page, 'host-dark');
  await page.locator('.run-item').last().click();
  await page.waitForURL('**/runs/*');
  await page.getByText('exit code 4').waitFor();
  await page.goBack();
  await page.locator('.run-item').first().waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a host or a run that does not exist is said once, in place', async () => {
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/anna/runs/2025-12-14T10-30-00-switch`);
  await page.getByText('anna has no run 2025-12-14T10-30-00-switch').waitFor();
  assert.equal(await page.locator('button.stop:visible, sy-phase:visible, .run-body:visible').count(), 0);
  await page.goto(`${world.url}/hosts/nobody`);
  await page.getByText('Unknown host “nobody”').waitFor();
  assert.equal(await page.locator('.toast').count(), 0);
  await page.context().close();
});

test('on a phone nothing is cut off, and a run opens full screen', async () => {
  const { page } = await browser.page(PHONE);
  await page.goto(world.url);
  await row(page, 'anna').getByText('Show log').tap();
  await page.waitForURL('**/hosts/anna/runs/*');
  await page.locator('sy-log').waitFor();
  for (const path of ['/', '/hosts/anna']) {
    await page.goto(world.url + path);
    await page.locator('sy-actions').first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${path} is ${wide} px too wide`);
  }
  await shot(page, 'phone-host-dark');
  await page.locator('.run-item').last().tap();
  await page.locator('.log-row.error').waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the run is ${wide} px too wide`);
  await shot(page, 'phone-run-dark');
  await page.context().close();
});
