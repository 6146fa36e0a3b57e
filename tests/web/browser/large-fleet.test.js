import assert from 'node:assert/strict';
import { loadavg } from 'node:os';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { bulkCommand, command, launch, row, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** 490 hosts in contact, and 10 that never reported. */
const NAMES = Array.from({ length: 490 }, (_, i) => `web${String(i + 1).padStart(3, '0')}`);
const NEVER = Array.from({ length: 10 }, (_, i) => `new${i}`);

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: [...NAMES, ...NEVER] });
  await Promise.all(NAMES.map((name) => agent(name).connect({ revision: 'd3adbeefd3adbeefd3adbeefd3adbeefd3adbeef', generation: 41, os_version: '26.05' })));
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {string} name */
function agent(name) {
  const found = world.wire.get(name);
  if (!found) throw new Error(`no host ${name}`);
  return found;
}

/** @param {import('playwright-core').Page} page @param {string[]} names */
async function select(page, names) {
  for (const name of names) await row(page, name).locator('input[type="checkbox"]').check();
}

test('500 hosts come over one connection and are on screen at once', async (t) => {
  const { page, errors } = await browser.page();
  let sockets = 0;
  page.on('websocket', () => sockets++);
  await page.addInitScript(() => {
    const look = () => {
      const first = document.querySelector('sy-host-row');
      if (first) requestAnimationFrame(() => Object.assign(window, { firstRow: performance.now() }));
      else requestAnimationFrame(look);
    };
    look();
    /** @type {number[]} */
    const tasks = [];
    Object.assign(window, { tasks });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => Math.round(entry.duration)))).observe({ type: 'longtask', buffered: true });
  });
  await page.goto(world.url);
  await page.locator('sy-host-row').nth(499).waitFor({ state: 'attached' });
  const { firstRow, tasks } = await page.evaluate(() => ({ firstRow: /** @type {any} */ (window).firstRow, tasks: /** @type {any} */ (window).tasks }));
  t.diagnostic(`500 hosts: first row after ${Math.round(firstRow)} ms; long tasks: ${tasks.join(', ') || 'none'} ms`);
  assert.equal(sockets, 1);
  await page.getByText('490').first().waitFor();
  await row(page, 'new3').getByText('never connected').first().waitFor();
  await page.getByPlaceholder('Filter hosts').fill('never connected');
  await until('those that never connected are shown', async () => (await page.locator('sy-host-row:visible').count()) === 10);
  assert.equal(new URL(page.url()).search, '?filter=never+connected');
  await page.reload();
  await until('the filter is still there', async () => (await page.locator('sy-host-row:visible').count()) === 10);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a command for many shows its results host by host, and the same failure as one', async () => {
  const { page, errors } = await browser.page();
  await page.goto(world.url);
  await page.getByPlaceholder('Filter hosts').fill('web00');
  await until('nine are shown', async () => (await page.locator('sy-host-row:visible').count()) === 9);
  await page.getByLabel('Select all hosts that are shown').check();
  await page.getByPlaceholder('Filter hosts').fill('');
  await until('the filter is off', async () => (await page.locator('sy-host-row:not([hidden])').count()) === 500);
  await bulkCommand(page, 'switch', 'Switch 9 hosts');
  await page.getByText('Select hosts for bulk actions').waitFor();
  const results = page.locator('sy-results');
  await results.getByText('Switch on 9 hosts').waitFor();
  await results.getByText('9 queued').waitFor();
  for (let i = 1; i <= 9; i++) await agent(`web00${i}`).begin();
  await results.getByText('9 running').waitFor();
  for (let i = 1; i <= 7; i++) {
    const message = `error: hash mismatch in fixed-output derivation '/nix/store/${String(i).repeat(32)}-source.drv' of web00${i}`;
    agent(`web00${i}`).end('error', { message });
  }
  agent('web008').end('ok', { generation: 42 });
  await results.getByText('7 failed · 1 running · 1 ok').waitFor();
  assert.equal(await results.locator('li').count(), 9);
  await results.locator('li', { hasText: 'web003' }).getByText('hash mismatch').waitFor();
  await page.mouse.move(5, 5);
  const failure = page.locator('.failure');
  await failure.getByText('7 hosts:').waitFor();
  await failure.getByText('hash mismatch in fixed-output derivation').waitFor();
  await shot(page, 'fleet-results-dark');
  await failure.click();
  await until('only those seven are shown', async () => (await page.locator('sy-host-row:visible').count()) === 7);
  await failure.click();
  await until('all are back', async () => (await page.locator('sy-host-row:not([hidden])').count()) === 500);
  const order = await page.locator('sy-host-row').evaluateAll((rows) => rows.slice(0, 8).map((r) => /** @type {HTMLElement} */ (r).dataset['host']));
  assert.deepEqual(order.slice(0, 7), ['web001', 'web002', 'web003', 'web004', 'web005', 'web006', 'web007'], 'failed first');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('the queue says why a run waits and until when, and several are cancelled at once', async () => {
  const { page } = await browser.page();
  await page.goto(`${world.url}/?filter=new`);
  await command(row(page, 'new1'), 'switch');
  await row(page, 'new1').getByText(/Waiting for the host to connect \(expires \d\d:\d\d\)/).waitFor();
  const { page: elsewhere } = await browser.page();
  await elsewhere.goto(`${world.url}/?filter=new1`);
  await row(elsewhere, 'new1').getByText(/expires \d\d:\d\d/).waitFor();
  await elsewhere.context().close();
  await select(page, ['new2', 'new3']);
  await bulkCommand(page, 'pull');
  await page.locator('sy-results').getByText('2 queued').waitFor();
  await page.getByPlaceholder('Filter hosts').fill('');
  await page.locator('.count[data-state="queued"]').click();
  await until('the queue alone is shown', async () => (await page.locator('sy-host-row:visible').count()) === 3);
  await page.getByLabel('Select all hosts that are shown').check();
  await page.locator('sy-bulk .stop').click();
  await page.locator('dialog').getByText('Queued runs are canceled. Running ones are stopped, except on hosts that are activating.').waitFor();
  await page.locator('dialog').getByText('Stop 3 runs').click();
  await page.locator('sy-results').getByText('3 stopped').waitFor();
  await page.locator('.count[data-state="queued"] .n', { hasText: /^0$/ }).waitFor();
  await page.context().close();
});

test('nothing moves under the pointer when hosts fail, and rows keep their place while they change', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  // As long as rows are added, and as long as rows above are filled, it moves.
  await page.locator('sy-host-row').nth(499).waitFor({ state: 'attached' });
  await page.locator('.failure', { hasText: '7 hosts:' }).waitFor();
  const target = row(page, 'web020');
  await target.scrollIntoViewIfNeeded();
  await target.locator('sy-actions').waitFor();
  await target.hover();
  const before = await target.boundingBox();
  const names = NAMES.slice(100, 130);
  const answer = await fetch(`${world.url}/api/commands`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: JSON.stringify({ hosts: names, command: 'switch' }) });
  assert.equal(answer.status, 207);
  for (const name of names) {
    await agent(name).begin();
    agent(name).end('error', { message: 'error: no space left on device' });
  }
  await page.locator('.count[data-state="failed"] .n', { hasText: /^3\d$/ }).waitFor();
  assert.deepEqual(await target.boundingBox(), before);
  await page.mouse.move(5, 5);
  await page.locator('.failure', { hasText: '30 hosts:' }).waitFor();
  await page.context().close();
});

test('500 hosts that all report every second leave the page smooth', async (t) => {
  const { page } = await browser.page();
  await page.goto(world.url);
  await page.locator('sy-host-row').nth(499).waitFor({ state: 'attached' });
  await page.evaluate(() => {
    /** @type {number[]} */
    const tasks = [];
    /** @type {number[]} */
    const drawn = [];
    Object.assign(window, { tasks, drawn });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => Math.round(entry.duration)))).observe({ type: 'longtask' });
    const tick = (/** @type {number} */ now) => {
      drawn.push(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const began = performance.now();
  for (let second = 1; second <= 5; second++) {
    for (const name of NAMES) {
      agent(name).send({ type: 'heartbeat', host_id: name, time: new Date().toISOString(), generation: 41, metrics: { cpu: second, ram: 10, swap: 0, load: 1 } });
    }
    await pause(Math.max(0, began + second * 1000 - performance.now()));
  }
  const { tasks, drawn } = await page.evaluate(() => {
    const { tasks, drawn } = /** @type {any} */ (window);
    return { tasks, drawn };
  });
  const idle = (loadavg()[0] ?? 9) < 0.7;
  t.diagnostic(`490 reports a second, machine ${idle ? 'idle' : 'busy'}: ${Math.round(drawn.length / 5)} frames drawn a second; long tasks: ${tasks.join(', ') || 'none'} ms`);
  assert.ok(Math.max(0, ...tasks) <= (idle ? 100 : 400), `a task of ${Math.max(...tasks)} ms`);
  await page.goto(`${world.url}/hosts/web100`);
  await page.getByText('5 %', { exact: true }).waitFor();
  for (const name of NAMES) {
    agent(name).send({ type: 'heartbeat', host_id: name, generation: 41, metrics: { cpu: name === 'web100' ? 77 : 6, ram: 10, swap: 0, load: 1 } });
  }
  await page.getByText('77 %', { exact: true }).waitFor({ timeout: 20_000 });
  await page.context().close();
});
