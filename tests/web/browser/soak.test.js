/** The page left open: a fleet at work, and one run followed, for minutes with `tests/run --long`. SWITCHYARD_SOAK is how many seconds. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { plural } from '../../../web/model/format.js';
import { launch } from './support/browser.js';
import { Program, until } from './support/process.js';

const SECONDS = Number(process.env['SWITCHYARD_SOAK'] ?? (process.env['SWITCHYARD_LONG'] ? 600 : 80));
const HOSTS = 50;
const BUSY = 10;
/** Hosts that are busy with runs of the demo's own at first. */
const OPENING = ['backup', 'build01', 'office', 'web01'];
/** Lines a tenth of a second, of the run that is followed and of the others. */
const [FOLLOWED, OTHERS] = [100, 20];
/** Lines that the page holds of a log: 20 pages (web/model/log.js). */
const HELD = 20_000;
/** The pages are full long before, so that from there on nothing may grow. */
const WARM = 30;

/** A check of the host's own that prints so many lines every tenth of a second. @param {number} lines */
const chatty = (lines) => `#!/bin/sh
i=0
while [ $i -lt ${SECONDS * 10} ]; do
  seq -f "the %.0f. line of this tenth of a second, as long as lines of builds usually are" ${lines}
  i=$((i+1))
  sleep 0.1
done
`;

test('with a fleet of 50 at work the heap is flat, no task is long, and every number is right at the end', async (t) => {
  const idle = (loadavg()[0] ?? 9) < 0.7;
  const dir = mkdtempSync(join(tmpdir(), 'switchyard-soak-'));
  const demo = new Program(['demo', '--hosts', String(HOSTS), '--listen', '127.0.0.1:0'], { TMPDIR: dir });
  const browser = await launch('--enable-precise-memory-info');
  try {
    const url = (await demo.says(/listening on (http:\/\/\S+)/))[1] ?? '';
    const hosts = async () => /** @type {any[]} */ ((await (await fetch(`${url}/api/hosts`)).json()).hosts);
    await until('all are connected', async () => (await hosts()).every((host) => host.online), 60_000);
    const chosen = (await hosts()).map((host) => host.id).filter((id) => id !== 'real-nix' && !OPENING.includes(id)).sort().slice(0, BUSY);
    const folder = join(dir, readdirSync(dir)[0] ?? '');
    const [followed] = chosen;
    for (const host of chosen) {
      const check = chatty(host === followed ? FOLLOWED : OTHERS);
      writeFileSync(join(folder, 'hosts', host, 'repo', 'hosts', host, 'tests', 'T00-chatty.sh'), check, { mode: 0o755 });
    }
    const answer = await fetch(`${url}/api/commands`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: url }, body: JSON.stringify({ hosts: chosen, command: 'test' }) });
    assert.equal(answer.status, 207);
    const run = (/** @type {any[]} */ list, /** @type {string} */ id) => list.find((host) => host.id === id)?.run;
    await until('all print', async () => {
      const list = await hosts();
      return chosen.every((id) => run(list, id)?.lines > 1000);
    }, 240_000);

    const { page, errors } = await browser.page();
    await page.goto(`${url}/hosts/${followed}/runs/${run(await hosts(), followed ?? '').run_id}`);
    const fleet = (await browser.page()).page;
    await fleet.goto(url);
    await page.bringToFront();
    await page.locator('.log-row').first().waitFor();
    await page.evaluate(() => {
      /** @type {number[]} */
      const tasks = [];
      Object.assign(window, { tasks });
      setTimeout(() => new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => Math.round(entry.duration)))).observe({ type: 'longtask' }), 1000);
    });
    const session = await page.context().newCDPSession(page);
    const heap = async () => {
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      return usedSize / 1e6;
    };
    /** @type {number[]} */
    const heaps = [];
    const began = performance.now();
    const printed = async () => run(await hosts(), followed ?? '').lines;
    const already = await printed();
    await pause(WARM * 1000);
    // On a busy machine the lines may come slowly.
    await until('the pages are full', async () => (await printed()) > already + HELD, 60_000);
    const full = await printed();
    while (performance.now() - began < (SECONDS - 20) * 1000) {
      heaps.push(await heap());
      await pause(10_000);
    }
    await until('every line that was held has made room for another', async () => (await printed()) > full + HELD, 60_000);
    heaps.push(await heap());
    assert.equal(await page.getByText('Follow', { exact: true }).getAttribute('aria-pressed'), 'true');
    const tasks = await page.evaluate(() => /** @type {any} */ (window).tasks);
    const longest = Math.max(0, ...tasks);
    t.diagnostic(`machine ${idle ? 'idle' : 'busy'}: heap from ${WARM} s on ${heaps.map((mb) => mb.toFixed(1)).join(', ')} MB; ${tasks.length} tasks over 50 ms, longest ${longest} ms`);
    const [first = 0, last = 0] = [heaps[0], heaps.at(-1)];
    assert.ok(last < first * 1.15 + 1, `the heap grew from ${first} to ${last} MB`);
    // On a busy machine a task is long because others run.
    assert.ok(longest <= (idle ? 100 : 500), `a task of ${longest} ms`);

    await until('all have ended', async () => (await hosts()).every((host) => host.run?.status !== 'running'), 120_000);
    const list = await hosts();
    const mine = run(list, followed ?? '');
    const number = new Intl.NumberFormat('en').format(mine.lines);
    await page.locator('.log-info', { hasText: `${number} lines` }).waitFor();
    await page.locator(`.log-row[data-seq="${mine.lines - 1}"]`).waitFor();
    await fleet.bringToFront();
    for (const host of list) {
      const about = fleet.locator(`sy-host-row[data-host="${host.id}"]`);
      // A row out of view has its name alone.
      await about.scrollIntoViewIfNeeded();
      const lines = host.run ? plural(host.run.lines, 'line') : '';
      await until(`the row of ${host.id} says ${lines}`, async () => (await about.locator('.lines').textContent()) === lines);
      const state = host.deployment ? (host.deployment.status === 'error' ? 'failed' : host.deployment.status) : 'idle';
      await until(`${host.id} is shown as ${state}`, async () => (await about.getAttribute('data-state')) === state);
    }
    const ok = list.filter((host) => host.deployment?.status === 'ok').length;
    if (ok > 0) await until(`${ok} are counted as ok`, async () => (await fleet.locator('.count[data-state="ok"] .n').textContent()) === String(ok));
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await demo.end();
    rmSync(dir, { recursive: true, force: true });
  }
});
