/** Times say whose they are: the zone is named, UTC is a choice and exact on hover, and a new day is marked. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, shot } from './support/browser.js';
import { until } from './support/process.js';
import { ago, deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

test('the zone is named, UTC is a choice, the exact time is over the number, and another day begins with its date', async () => {
  const browser = await launch();
  const world = await World.start([], { wire: ['anna'] });
  try {
    const agent = world.wire.get('anna');
    assert.ok(agent);
    await agent.connect();
    const asked = await fetch(`${world.url}/api/hosts/anna/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: '{"command":"build"}' });
    assert.equal(asked.status, 202);
    const run_id = await agent.begin();
    const times = ['2026-11-26T18:29:58.000Z', '2026-11-26T18:30:01.123Z', '2026-11-27T00:00:02.000Z'];
    agent.send({ type: 'output', host_id: 'anna', run_id, command: 'build', seq: 0, lines: times.map((timestamp, i) => ({ line: `line ${i}`, timestamp, is_error: false })) });
    agent.end('ok', { lines: 3 });
    await until('it is over', async () => (await (await fetch(`${world.url}/api/hosts/anna/runs/${run_id}`)).json()).status === 'ok');
    const { page, errors } = await browser.page({ timezoneId: 'Asia/Kolkata' });
    await page.goto(`${world.url}/hosts/anna/runs/${run_id}`);
    const second = page.locator('.log-row[data-seq="1"]');
    await second.waitFor();
    await page.getByText('Time: local (UTC+5:30)').waitFor();
    assert.match((await second.getAttribute('data-gutter')) ?? '', /00:00:01/);
    assert.deepEqual(await page.locator('.log-row').evaluateAll((rows) => rows.map((one) => one.getAttribute('data-day'))), [null, '2026-11-27', null]);
    const box = await second.boundingBox();
    const log = await page.locator('.log-scroll').boundingBox();
    assert.ok(box && log);
    await page.mouse.move(log.x + 30, box.y + 8);
    await page.mouse.move(log.x + 34, box.y + 10);
    assert.equal(await second.getAttribute('title'), '2026-11-26 18:30:01.123 UTC');
    await page.mouse.move(log.x + 300, box.y + 10);
    assert.equal(await second.getAttribute('title'), null);
    await shot(page, 'run-midnight-dark');
    await page.getByText('Time: local (UTC+5:30)').click();
    await page.getByRole('menuitem', { name: 'UTC As in the downloads' }).click();
    await page.waitForURL('**?times=utc');
    await page.getByText('Time: UTC').waitFor();
    await until('the day begins by UTC', async () => (await page.locator('.log-row').evaluateAll((rows) => rows.map((one) => one.getAttribute('data-day')).join())) === ',,2026-11-27');
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await world.end();
  }
});

test('wherever a time is shown, of day or how long ago, its tooltip has it exactly, with its zone and by UTC', async () => {
  const browser = await launch();
  const world = await World.start([]);
  try {
    const { page, errors } = await browser.page({ timezoneId: 'Asia/Kolkata' });
    const runs = [1, 2, 3].map((n) => makeRun('anna', { run_id: `2026-01-0${n}T10-00-00-switch`, started: ago(9000 - n), completed: ago(8000 - n), status: n === 3 ? 'error' : 'ok', message: 'no' }));
    const [last = makeRun('anna')] = runs.slice(-1);
    const queued = makeRun('dora', { status: 'queued', started: null, completed: null, queued: ago(50), expires: ago(-3000) });
    const machines = ['one', 'two'].map((boot_id, i) => ({ machine_id: 'm', boot_id, hostname: 'web', address: null, agent_version: null, last_seen: ago(90), connected: i === 1 }));
    await Stage.set(page, {
      hosts: [
        makeHost('anna', { run: last, deployment: deployed(last) }),
        makeHost('berta', { online: false, last_seen: ago(90_000), run: makeRun('berta'), deployment: deployed(makeRun('berta')) }),
        makeHost('clara', { conflict: { since: ago(90), machines } }),
        makeHost('dora', { run: queued, online: false, last_seen: ago(700) }),
      ],
      runs: runs.slice(0, 2),
      role: 'admin',
    });
    /** Times in texts without one in a tooltip around them. */
    const bare = () =>
      page.evaluate(() => {
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        /** @type {string[]} */
        const found = [];
        while (walk.nextNode()) {
          const around = walk.currentNode.parentElement;
          const text = walk.currentNode.textContent ?? '';
          if (!around?.checkVisibility() || !/\b\d\d:\d\d\b|\d{4}-\d\d-\d\d \d|\d (s|min|h|d) ago/.test(text)) continue;
          const title = around.closest('[title]')?.getAttribute('title') ?? '';
          if (!/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\+5:30 \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC\)/.test(title)) found.push(`${text} | ${title}`);
        }
        return found;
      });
    for (const [path, seen] of /** @type {const} */ ([
      ['/', 'sy-host-row[data-host="dora"] .row-text:has-text("expires")'],
      ['/hosts/anna', '.run-item:nth-child(3) time'],
      ['/hosts/berta', '.host-facts dd:has-text("ago")'],
      ['/hosts/clara', 'sy-conflict li:nth-child(2)'],
      ['/hosts/dora', '.host-text:has-text("expires")'],
      [`/hosts/anna/runs/${last.run_id}`, '.run-facts dd:visible'],
      ['/access', '.token-row'],
      ['/access?tab=sessions', '.session-row'],
      ['/access?tab=audit', '.audit-row'],
    ])) {
      await page.goto(world.url + path);
      await page.locator(seen).first().waitFor();
      assert.deepEqual(await bare(), [], path);
      for (const label of await page.locator('.bar').evaluateAll((all) => all.map((one) => one.getAttribute('title') ?? ''))) assert.match(label, /UTC\+5:30 \(.* UTC\)$/);
    }
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await world.end();
  }
});
