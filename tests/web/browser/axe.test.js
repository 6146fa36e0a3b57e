/** No place of the page breaks a rule of axe, the accessibility checker, in dark and in light. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { launch, row } from './support/browser.js';
import { until } from './support/process.js';
import { deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const DERIVATION = 'linux-6.12.30-modules';
const LINES = [`building '/nix/store/${'a'.repeat(32)}-${DERIVATION}.drv'...`, `${DERIVATION}> CC a.o`, `${DERIVATION}> make: *** Error 1`, 'warning: something', '\x1b[38;5;226myellow\x1b[0m', 'error: 1 dependencies of derivation failed to build'];
const CAUSE = [{ kind: 'derivation', name: DERIVATION, summary: `${DERIVATION} failed to build (exit code 1)`, from: 1, to: 2, line: 2 }];

/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;
/** @type {World} */
let world;

before(async () => {
  browser = await launch();
  world = await World.start([], { users: 'correct horse' });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** What a page breaks, with the elements. @param {Page} page */
async function violations(page) {
  return page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run(document, { resultTypes: ['violations'], rules: { 'label-content-name-mismatch': { enabled: true } } });
    return violations.map((/** @type {any} */ { id, help, nodes }) => `${id}: ${help}\n${nodes.slice(0, 5).map((/** @type {any} */ { html }) => `    ${html.slice(0, 240)}`).join('\n')}`);
  });
}

/** @param {Page} page @param {string} place */
async function check(page, place) {
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    assert.deepEqual(await violations(page), [], `${place}, ${colorScheme}`);
  }
}

/** A page with the checker, before the page's own policy could refuse it. */
async function fresh() {
  const { page } = await browser.page();
  await page.addInitScript({ content: AXE });
  return page;
}

const FAILED = makeRun('anna', { status: 'error', exit_code: 1, message: 'it failed', cause: CAUSE, lines: LINES.length, phases: [{ phase: 'building', seq: 0, started: new Date().toISOString() }] });
const MACHINES = ['one', 'two'].map((boot_id, i) => ({ boot_id, hostname: `web${i}`, address: '192.0.2.7', last_seen: new Date().toISOString(), connected: i === 1 }));

/** @param {Page} page @param {string} [role] */
function stage(page, role = 'admin') {
  const running = makeRun('berta', { status: 'running', completed: null, phase: 'building', done: 3, expected: 9 });
  const ok = makeRun('clara', { lines: LINES.length });
  const older = makeRun('clara', { command: 'pull', run_id: '2025-12-01T10-00-00-pull' });
  return Stage.set(page, {
    role, lines: LINES, runs: [older],
    hosts: [
      makeHost('anna', { run: FAILED, deployment: deployed(FAILED), reboot_required: true, behind: 3 }),
      makeHost('berta', { run: running }), makeHost('clara', { run: ok, deployment: deployed(ok) }),
      makeHost('dora', { online: false, last_seen: null }), makeHost('emil', { conflict: { since: new Date().toISOString(), machines: MACHINES } }),
    ],
  });
}

test('sign-in', async () => {
  const page = await fresh();
  await page.goto(world.url);
  await page.locator('sy-login input').first().waitFor();
  await check(page, 'sign-in');
  await page.context().close();
});

test('the fleet, with a menu, a selection, a sheet and an open log', async () => {
  for (const role of ['admin', 'viewer']) {
    const page = await fresh();
    await stage(page, role);
    await page.goto(world.url);
    await row(page, 'emil').waitFor();
    await check(page, `fleet, ${role}`);
    if (role === 'admin') {
      await page.getByLabel('Select anna').check();
      await page.getByLabel('Select clara').check();
      await row(page, 'anna').getByRole('button', { name: 'Show log of anna' }).click();
      await row(page, 'anna').locator('.log-row', { hasText: 'make: ***' }).waitFor();
      await check(page, 'fleet, with a log');
      await row(page, 'clara').locator('sy-actions sy-menu > button').click();
      await page.locator('[role="menuitem"]:visible').first().waitFor();
      await check(page, 'fleet, with a menu');
      await page.keyboard.press('Escape');
      await page.locator('sy-bulk').getByRole('button', { name: /^Deploy/ }).click();
      await page.locator('dialog.sheet').waitFor();
      await check(page, 'fleet, with a sheet');
    }
    await page.context().close();
  }
});

test('a host, also with two machines that claim to be it, and one that is unknown', async () => {
  const page = await fresh();
  await stage(page);
  for (const host of ['anna', 'clara', 'emil']) {
    await page.goto(`${world.url}/hosts/${host}`);
    await page.getByRole('heading', { name: host, exact: true }).waitFor();
    await check(page, `host ${host}`);
  }
  await page.goto(`${world.url}/hosts/ghost`);
  await page.getByRole('heading', { name: 'Unknown host “ghost”' }).waitFor();
  await check(page, 'an unknown host');
  await page.context().close();
});

test('a run that failed and one that went well, with search, help and folded phases', async () => {
  const page = await fresh();
  await stage(page);
  await page.goto(`${world.url}/hosts/clara/runs/${makeRun('clara').run_id}`);
  await page.locator('.log-row', { hasText: 'yellow' }).waitFor();
  await check(page, 'a run that went well');
  await page.keyboard.press('z');
  await page.locator('.log-row.head').waitFor();
  await check(page, 'a run with a folded phase');
  await page.goto(`${world.url}/hosts/anna/runs/${FAILED.run_id}?q=make`);
  await page.locator('.log-row', { hasText: 'yellow' }).waitFor();
  await page.locator('sy-cause li').first().waitFor();
  await check(page, 'a run that failed');
  await page.locator('.log-scroll').press('?');
  await page.locator('dialog.help').waitFor();
  await check(page, 'help');
  await page.context().close();
});

test('a warning of the dashboard, in a line and whole', async () => {
  const page = await fresh();
  await stage(page);
  await page.route('**/health', (route) => route.fulfill({ json: { status: 'ok', warnings: [`the database was damaged. ${'Move it away. '.repeat(20)}`, 'the clock is wrong'] } }));
  await page.goto(world.url);
  await page.locator('sy-warnings p').nth(1).waitFor();
  await row(page, 'emil').waitFor();
  await check(page, 'a warning');
  await page.getByRole('button', { name: 'Show all' }).click();
  await check(page, 'a warning, whole');
  await page.context().close();
});

test('access: tokens, sessions, audit and the dialog', async () => {
  const page = await fresh();
  await stage(page);
  for (const tab of ['tokens', 'sessions', 'audit']) {
    await page.goto(`${world.url}/access?tab=${tab}`);
    await page.locator('.access-row').first().waitFor();
    await check(page, `access, ${tab}`);
  }
  await page.goto(`${world.url}/access`);
  await page.getByRole('button', { name: 'New token…' }).click();
  await page.locator('dialog[open]').first().waitFor();
  await check(page, 'the dialog of tokens');
  await page.context().close();
});

test('an address that is none, and an empty fleet', async () => {
  const page = await fresh();
  await stage(page);
  await page.goto(`${world.url}/nope`);
  await page.getByRole('heading', { name: 'Page not found' }).waitFor();
  await check(page, 'an address that is none');
  await page.context().close();
  const empty = await fresh();
  await Stage.set(empty, { hosts: [] });
  await empty.goto(world.url);
  await until('the fleet is empty', () => empty.locator('.empty').isVisible());
  await check(empty, 'an empty fleet');
  await empty.context().close();
});
