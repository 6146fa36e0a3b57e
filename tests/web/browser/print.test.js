/** The fleet on paper. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, row, shot } from './support/browser.js';
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

const FAILED = makeRun('web000', { status: 'error', exit_code: 1, message: 'nginx-1.29 failed to build', cause: [{ kind: 'derivation', name: 'nginx-1.29', summary: 'nginx-1.29 failed to build (exit code 2)' }] });

/** Of 120 hosts one failed, one runs, and the rest have pulled since they were switched. */
function hosts() {
  return Array.from({ length: 120 }, (_, i) => {
    const id = `web${String(i).padStart(3, '0')}`;
    if (i === 0) return makeHost(id, { run: FAILED, deployment: deployed(FAILED) });
    if (i === 1) return makeHost(id, { run: makeRun(id, { status: 'running', completed: null, duration_ms: null, started: ago(75), phase: 'building', done: 15, expected: 42 }) });
    return makeHost(id, { run: makeRun(id, { command: 'pull', run_id: '2026-01-01T11-00-00-pull', completed: ago(7200) }), deployment: deployed(makeRun(id)) });
  });
}

/** The text of every row. @param {import('playwright-core').Page} page */
const texts = (page) => page.locator('sy-host-row').evaluateAll((rows) => rows.map((one) => one.textContent ?? ''));

test('a print of the fleet has all of every host, and rows out of view hold their name alone again afterwards', async () => {
  const { page, errors } = await browser.page();
  await page.addInitScript(() => {
    addEventListener('DOMContentLoaded', () => {
      addEventListener('beforeprint', () => Object.assign(window, { began: true }));
    });
  });
  await Stage.set(page, { hosts: hosts() });
  await page.goto(world.url);
  await page.locator('sy-host-row').nth(119).waitFor({ state: 'attached' });
  await row(page, 'web005').getByText('Pull ok · 2 h ago').waitFor();
  const before = await texts(page);
  assert.equal(before[119], 'web119', 'out of view');
  await page.pdf();
  assert.equal(await page.evaluate(() => 'began' in window), true);
  await until('they are as they were', async () => (await texts(page))[119] === 'web119');
  assert.equal((await texts(page)).filter((text) => text.length > 6).length, before.filter((text) => text.length > 6).length);

  // What is on the paper, on screen.
  await page.emulateMedia({ media: 'print' });
  await page.setViewportSize({ width: 718, height: 1000 });
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  for (const [i, text] of (await texts(page)).entries()) {
    const parts = i === 0 ? ['web000', 'failed', 'nginx-1.29 failed to build', 'Switch · '] : i === 1 ? ['web001', 'running', 'Building (15/42)', '· Switch'] : [`web${String(i).padStart(3, '0')}`, 'ok', 'c0ffee00', 'Pull ok · 2 h ago'];
    for (const part of parts) assert.ok(text.includes(part), `${part} in ${text}`);
  }
  const last = row(page, 'web119');
  for (const part of ['sy-state', '.host-name', '.revision', '.row-text', '.elapsed']) assert.equal(await last.locator(part).isVisible(), true, part);
  for (const part of ['sy-top', 'sy-bulk', '.fleet-bar input']) assert.equal(await page.locator(part).isVisible(), false, part);
  assert.equal(await page.locator('sy-host-row :is(button, input):visible').count(), 0, 'nothing that acts');
  const cut = await page.locator('sy-host-row :is(a, span)').evaluateAll((all) => all.filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline').map((one) => one.textContent));
  assert.deepEqual(cut, []);
  await shot(page, 'fleet-print');
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
  await page.emulateMedia({ media: 'screen' });
  assert.deepEqual(errors, []);
  await page.context().close();
});
