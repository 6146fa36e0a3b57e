import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { command, launch, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna', 'berta', 'clara'] });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {string} command @param {string} status @param {object} rest */
async function finish(command, status, rest) {
  const agent = world.wire.get('anna');
  assert.ok(agent);
  agent.command = null;
  const answer = await fetch(`${world.url}/api/hosts/anna/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: JSON.stringify({ command }) });
  assert.equal(answer.status, 202, await answer.clone().text());
  const { run_id } = await answer.json();
  await agent.begin();
  agent.end(status, rest);
  await until(`${run_id} is over`, async () => (await (await fetch(`${world.url}/api/hosts/anna/runs/${run_id}`)).json()).status === status);
  return run_id;
}

test('a host shows its facts, what needs somebody, its runs by command and result, and how long they take', async () => {
  await world.wire.get('anna')?.connect({ generation: 41, revision: 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00', os_version: '26.05', behind: 3, kernel: '6.12.1', reboot_required: true });
  for (let i = 0; i < 12; i++) await finish('switch', 'ok', { duration_ms: 60_000 + i * 5000, generation: 42 + i });
  const failed = await finish('switch', 'error', { duration_ms: 20_000, message: 'error: builder failed', exit_code: 1 });
  for (let i = 0; i < 3; i++) await finish('pull', 'ok', { duration_ms: 1200 });

  const { page, errors } = await browser.page();
  await page.goto(`${world.url}/hosts/anna`);
  await page.locator('.host-facts .alarming', { hasText: 'Rebootneeded' }).waitFor();
  await page.getByText('c0ffee00, 3 commits ahead of the running system').waitFor();
  await page.locator('.run-item').nth(15).waitFor();
  await page.getByText('How long Switch takes').waitFor();
  await page.getByText('Typical 1 min 28 s · longest 1 min 55 s · last 13 runs').waitFor();
  assert.equal(await page.locator('.bar').count(), 13);
  assert.equal(await page.locator('.bar[data-state="failed"]').count(), 1);
  await page.locator('.run-item', { hasText: 'generation 41 → 42' }).or(page.locator('.run-item', { hasText: 'now generation 42' })).first().waitFor();
  await shot(page, 'host-durations-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'host-durations-light');

  await page.getByLabel('Command', { exact: true }).selectOption('pull');
  await page.getByText('3 of 16 runs').waitFor();
  await page.getByText('How long Pull takes').waitFor();
  await page.getByLabel('Command', { exact: true }).selectOption('');
  await page.getByLabel('Result').selectOption('error');
  await page.getByText('1 of 16 runs').waitFor();
  assert.equal(await page.locator('.run-item:visible').count(), 1);
  await page.getByLabel('Command', { exact: true }).selectOption('pull');
  await page.getByText('No runs match.').waitFor();
  await page.locator('.bar[data-state="failed"]').waitFor({ state: 'detached' });
  await page.getByLabel('Command', { exact: true }).selectOption('switch');
  await page.locator('.bar[data-state="failed"]').click();
  await page.waitForURL(`**/runs/${failed}`);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a host that refuses to stop, for it activates meanwhile, makes the page ask', async () => {
  const agent = world.wire.get('clara');
  assert.ok(agent);
  await agent.connect();
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/clara`);
  await command(page.locator('sy-host'), 'switch');
  await agent.begin();
  agent.progress('building');
  await page.locator('.run-title sy-phase').getByText('Building').waitFor();
  let asked = 0;
  agent.onStop = () => {
    asked += 1;
    if (asked === 1) agent.progress('activation');
    else agent.end('stopped', { exit_code: null });
  };
  await page.locator('.stop').click();
  await page.locator('dialog').getByText('half switched').waitFor();
  assert.equal(asked, 1);
  await page.locator('dialog').getByText('Force stop').click();
  await page.locator('sy-run sy-state[data-state="stopped"]').waitFor();
  assert.equal(asked, 2);
  await page.context().close();
});

test('whoever asked for it is told when a run ends while they look elsewhere', async () => {
  const agent = world.wire.get('berta');
  assert.ok(agent);
  await agent.connect();
  const { page } = await browser.page({ permissions: ['notifications'] });
  await page.addInitScript(() => {
    /** @type {string[]} */
    const told = [];
    class Told extends EventTarget {
      static permission = 'granted';
      static requestPermission = async () => 'granted';
      /** @param {string} title */
      constructor(title) {
        super();
        told.push(title);
      }
    }
    Object.assign(window, { Notification: Told, told });
  });
  await page.goto(world.url);
  await page.getByLabel('Notify: off').click();
  await page.getByLabel('Notify: on').waitFor();
  await page.evaluate(() => Object.defineProperty(document, 'hidden', { get: () => true }));
  await command(page.locator('sy-host-row[data-host="berta"]'), 'pull');
  await agent.begin();
  await page.locator('sy-host-row[data-host="berta"] sy-state[data-state="running"]').waitFor();
  agent.end('ok');
  await until('it is told', async () => (await page.evaluate(() => /** @type {any} */ (window).told)).length === 1);
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).told), ['✓ Pull on berta: ok']);
  await page.context().close();
});
