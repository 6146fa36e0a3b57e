/** Times say whose they are: the zone is named, UTC is a choice and exact on hover, and a new day is marked. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, shot } from './support/browser.js';
import { until } from './support/process.js';
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
