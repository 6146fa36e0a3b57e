/** How smooth the page is while very much comes: measured by the browser, and printed. */

import assert from 'node:assert/strict';
import { loadavg } from 'node:os';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launch, seesLine } from './support/browser.js';
import { World } from './support/world.js';

const BATCHES = 50;
const BATCH = 5000;

test('ten batches a second of 5,000 lines: no long task, and at most ten frames a second come', async (t) => {
  const browser = await launch();
  const world = await World.start([], { wire: ['anna'] });
  const idle = (loadavg()[0] ?? 9) < 0.7;
  try {
    const agent = world.wire.get('anna');
    assert.ok(agent);
    await agent.connect();
    const answer = await fetch(`${world.url}/api/hosts/anna/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: JSON.stringify({ command: 'switch' }) });
    const { run_id } = await answer.json();
    await agent.begin();
    const { page } = await browser.page();
    /** @type {number[]} */
    const arrived = [];
    page.on('websocket', (socket) => socket.on('framereceived', () => arrived.push(performance.now())));
    await page.goto(`${world.url}/hosts/anna/runs/${run_id}`);
    agent.output(0, ['first']);
    await seesLine(page.locator('sy-log'), 'first');
    await page.evaluate(() => {
      /** @type {number[]} */
      const tasks = [];
      /** @type {number[]} */
      const drawn = [];
      Object.assign(window, { tasks, drawn });
      new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
      const tick = (/** @type {number} */ now) => {
        drawn.push(now);
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    });
    arrived.length = 0;
    const began = performance.now();
    for (let i = 0; i < BATCHES; i++) {
      agent.output(1 + i * BATCH, Array.from({ length: BATCH }, (_, n) => `line ${1 + i * BATCH + n} `.padEnd(70, '.')));
      await pause(Math.max(0, began + (i + 1) * 100 - performance.now()));
    }
    await seesLine(page.locator('sy-log'), `line ${BATCHES * BATCH} `);
    const seconds = (performance.now() - began) / 1000;
    const { tasks, drawn } = await page.evaluate(() => {
      const { tasks, drawn } = /** @type {{tasks: number[], drawn: number[]}} */ (/** @type {any} */ (window));
      return { tasks, drawn };
    });
    const gaps = drawn.slice(1).map((at, i) => at - (drawn[i] ?? at)).sort((a, b) => a - b);
    const longest = Math.max(0, ...tasks);
    const rate = arrived.length / seconds;
    t.diagnostic(
      `${BATCHES * BATCH} lines in ${seconds.toFixed(1)} s, machine ${idle ? 'idle' : 'busy'}: ${tasks.length} tasks over 50 ms, longest ${Math.round(longest)} ms; ` +
        `frames drawn ${Math.round(drawn.length / seconds)}/s, the slowest of a hundred after ${Math.round(gaps[Math.floor(gaps.length * 0.99)] ?? 0)} ms; frames received ${rate.toFixed(1)}/s`,
    );
    assert.ok(rate <= 10.5, `${rate} frames a second`);
    // On a busy machine a task is long because others run.
    assert.ok(longest <= (idle ? 50 : 250), `a task of ${longest} ms`);
    assert.ok((await page.locator('.log-scroll *').count()) < 200);
  } finally {
    await browser.close();
    await world.end();
  }
});
