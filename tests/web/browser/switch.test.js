import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { command, launch, readLog, row, seesLine, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start(['anna', 'berta', 'clara']);
});

after(async () => {
  await browser?.close();
  await world?.end();
});

test('a switch shows its lines at once, its progress and its result, and gives the buttons back', async () => {
  const { page, errors } = await browser.page();
  await page.goto(world.url);
  const anna = row(page, 'anna');
  const button = anna.locator('sy-actions button[data-command="deploy"]');
  const began = Date.now();
  await command(anna, 'switch');
  world.host('anna').err('building the system configuration...');
  await seesLine(anna, 'building the system configuration...');
  assert.ok(Date.now() - began < 2000, `the first line took ${Date.now() - began} ms`);
  await anna.locator('.elapsed', { hasText: /^\d+:\d\d · Switch$/ }).waitFor();
  assert.equal(await button.isVisible(), false);
  await anna.getByRole('button', { name: 'Stop switch on anna' }).waitFor();
  await anna.getByText('Hide log').waitFor();

  world.host('anna').nix('building', 0, 42);
  world.host('anna').nix('building', 15, 42);
  await anna.getByText('🔨 Building (15/42)').waitFor();
  world.host('anna').many(1, 40);
  await seesLine(anna, 'line 40');
  await shot(page, 'fleet-running-dark');

  world.host('anna').exit(0);
  await anna.locator('sy-state[data-state="ok"]').waitFor();
  await until('the buttons are back', async () => (await button.isVisible()) && (await button.isEnabled()) && (await button.textContent()) === 'Deploy');
  await anna.locator('.elapsed', { hasText: 'Switch · ' }).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('hovering stops the scrolling and not the intake, and leaving goes on at the end', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  const berta = row(page, 'berta');
  await command(berta, 'test');
  world.host('berta').many(1, 100);
  await seesLine(berta, 'line 100');

  const scroller = berta.locator('.log-scroll');
  const box = await scroller.boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + 200, box.y + 100);
  await page.mouse.move(box.x + 210, box.y + 110);
  await berta.locator('.pill').waitFor();
  const still = await scroller.evaluate((element) => element.scrollTop);
  world.host('berta').many(101, 300);
  await berta.getByText('▼ 200 new').waitFor();
  // Between standard output and standard error there is no order: the error is to be the last line.
  world.host('berta').err('error: something');
  await berta.getByText('▼ 201 new · 1 error').waitFor();
  assert.equal(await scroller.evaluate((element) => element.scrollTop), still);
  assert.match((await berta.locator('.pill-why').textContent()) ?? '', /pointer is over the log/);
  await shot(page, 'fleet-paused-dark');

  await page.mouse.move(box.x + 200, box.y - 200);
  await seesLine(berta, 'error: something');
  await berta.locator('.pill').waitFor({ state: 'hidden' });

  await page.mouse.move(box.x + 200, box.y + 100);
  await page.mouse.wheel(0, -400);
  await page.mouse.move(box.x + 200, box.y - 200);
  await berta.locator('.pill-why', { hasText: 'you scrolled' }).waitFor();
  world.host('berta').many(302, 310);
  await berta.getByText('▼ 9 new').click();
  await seesLine(berta, 'line 310');
  world.host('berta').exit(0);
  await berta.locator('sy-state[data-state="ok"]').waitFor();
  await page.context().close();
});

test('the downloads equal the log', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  const clara = row(page, 'clara');
  await command(clara, 'switch');
  const host = world.host('clara');
  host.out('plain');
  host.err('\\x1b[31mred\\x1b[0m');
  host.out('tab\\there');
  host.many(1, 2500);
  host.exit(0);
  const run = await host.ended('ok');
  await clara.locator('sy-state[data-state="ok"]').waitFor();
  await clara.getByText('Open run →').click();
  await page.waitForURL(`**/hosts/clara/runs/${run.run_id}`);
  const expected = ['plain', 'red', 'tab\there', ...Array.from({ length: 2500 }, (_, i) => `line ${i + 1}`)];
  await seesLine(page.locator('sy-log'), 'line 2500');
  const shown = await readLog(page);
  // The two streams have no order between each other.
  assert.deepEqual(shown.filter((line) => line !== 'red'), expected.filter((line) => line !== 'red'));
  assert.equal(shown.filter((line) => line === 'red').length, 1);

  const [json] = await Promise.all([page.waitForEvent('download'), page.getByText('json', { exact: true }).click()]);
  const downloaded = JSON.parse(readFileSync(await json.path(), 'utf8'));
  assert.deepEqual(downloaded.lines.map((/** @type {any} */ line) => line.line.replace(/\x1b\[\d+m/g, '')), shown);
  assert.equal(downloaded.run_id, run.run_id);

  const [txt] = await Promise.all([page.waitForEvent('download'), page.getByText('txt', { exact: true }).click()]);
  const text = readFileSync(await txt.path(), 'utf8').split('\n');
  assert.deepEqual(text.filter((line) => /^\[\d\d:\d\d:\d\d\] /.test(line)).map((line) => line.slice(11)), shown);
  await shot(page, 'run-ok-dark');
  await page.context().close();
});
