/** A log that the dashboard no longer has: the page says so, and stops asking. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, shot } from './support/browser.js';
import { until } from './support/process.js';
import { deployed, makeHost, makeRun, Stage } from './support/stage.js';
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

const DETAIL = 'the log of this run was removed to make room; the run itself is kept';
const CAUSE = [{ kind: 'unit', name: 'nginx.service', summary: 'nginx.service failed', from: 10, to: 12, line: 11 }];

/**
 * The page of a run whose lines are answered with 410, and how often they were asked for.
 * @param {{lines: string[], detail?: string, cause?: typeof CAUSE}} log
 */
async function open({ lines, detail = DETAIL, cause = [] }) {
  const { page, errors } = await browser.page();
  let asked = 0;
  const run = makeRun('anna', { status: 'error', exit_code: 1, lines: 3000, cause, message: 'it failed' });
  await Stage.set(page, {
    hosts: [makeHost('anna', { run, deployment: deployed(run) })], lines,
    answer: (path) => {
      if (!/\/(lines|search)$/.test(path)) return null;
      asked += 1;
      return { status: 410, json: { title: 'Gone', status: 410, detail } };
    },
  });
  await page.goto(`${world.url}/hosts/anna/runs/${run.run_id}`);
  return { page, errors, asked: () => asked };
}

test('a log that was cut in its middle says how many lines are missing', async () => {
  const cut = await World.start([], { wire: ['anna'] });
  try {
    const agent = await cut.wire.get('anna')?.connect();
    assert.ok(agent);
    await fetch(`${cut.url}/api/hosts/anna/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: cut.url }, body: JSON.stringify({ command: 'switch' }) });
    const run = await agent.begin();
    agent.output(0, Array.from({ length: 100 }, (_, i) => `line ${i + 1}`));
    agent.end('ok', { lines: 100 });
    await until('the run is over', async () => (await (await fetch(`${cut.url}/api/hosts/anna/runs/${run}`)).json()).status === 'ok');
    const { page, errors } = await browser.page();
    await page.goto(`${cut.url}/hosts/anna/runs/${run}`);
    await page.locator('.log-row', { hasText: 'line 100' }).waitFor();
    assert.equal(await page.locator('.log-note').isVisible(), false, 'all lines are there');
    const file = cut.logFile('anna', run);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^\[.*\] line (4[1-9]|5\d|60)\n/gm, ''));
    await page.reload();
    await page.locator('.log-note', { hasText: '20 of 100 lines are missing' }).waitFor();
    await shot(page, 'cut-dark');
    assert.deepEqual(errors, []);
    await page.context().close();
  } finally {
    await cut.end();
  }
});

/** Draws the log anew in several ways. @param {import('playwright-core').Page} page */
async function drawAnew(page) {
  for (const key of ['w', 'w', 'PageUp', 'PageDown', 'Home', 't']) await page.locator('.log-scroll').press(key);
  await page.evaluate(async () => {
    for (let i = 0; i < 10; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
  });
}

test('a log of which nothing is left is said to be removed, not to be empty, and nobody asks again', async () => {
  const { page, errors, asked } = await open({ lines: [] });
  await page.locator('.log-empty', { hasText: DETAIL }).waitFor();
  await page.locator(`.log-info[title="${DETAIL}"]`, { hasText: 'Log is gone' }).waitFor();
  assert.equal(await page.getByText('This run has no output').count(), 0);
  assert.equal(await page.locator('.log-toolbar a[download]:visible').count(), 0);
  const before = asked();
  assert.ok(before > 0);
  await drawAnew(page);
  assert.equal(asked(), before);
  await shot(page, 'gone-dark');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('where the dashboard gives no reason the page has words of its own', async () => {
  const { page } = await open({ lines: [], detail: '' });
  await page.locator('.log-empty', { hasText: 'The log of this run is no longer on the dashboard' }).waitFor();
  await page.context().close();
});

test('what was read before the log was removed stays, the rest is said to be gone, and cards do not ask again', async () => {
  const { page, asked } = await open({ lines: Array.from({ length: 3000 }, (_, i) => `line ${i + 1}`), cause: CAUSE });
  await page.locator('.log-row.hole', { hasText: DETAIL }).first().waitFor();
  await page.getByText(`Could not load the lines of this failure: ${DETAIL}`).waitFor();
  await page.locator('.log-scroll').press('End');
  await page.locator('.log-row', { hasText: 'line 3000' }).waitFor();
  const before = asked();
  await page.locator('.log-scroll').press('Home');
  await until('the beginning is in view', async () => (await page.locator('.log-row[data-seq="0"]').count()) === 1);
  await page.locator('.log-row.hole', { hasText: DETAIL }).first().waitFor();
  await drawAnew(page);
  assert.equal(asked(), before);
  await page.context().close();
});
