/** Two living machines with the token of one host, and hosts whose four systems differ. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE, row, shot } from './support/browser.js';
import { until } from './support/process.js';
import { deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { WireAgent } from './support/wire.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna', 'berta'] });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

test('two machines with one token are shown on the row and the page of their host, where an admin settles it', async () => {
  const first = world.wire.get('anna');
  assert.ok(first);
  const second = new WireAgent(world.port, { name: 'anna', secret: first.secret });
  const [one, two] = [{ machine_id: 'a'.repeat(32), boot_id: '11111111-aaaa', hostname: 'web' }, { machine_id: 'b'.repeat(32), boot_id: '22222222-bbbb', hostname: 'web-clone' }];
  const { page, errors } = await browser.page();
  await first.connect(one);
  await page.goto(world.url);
  await row(page, 'anna').getByText('No runs yet').waitFor();
  await second.connect(two);
  await until('the first one was sent away', () => first.closeCode === 4409);
  // It comes back: so both are alive.
  await first.connect(one);
  const anna = row(page, 'anna');
  await anna.getByText('2 machines use the token of anna. Choose one on the host’s page.').waitFor();
  await anna.locator('sy-state', { hasText: 'conflict' }).waitFor();
  assert.equal(await anna.locator('button[data-command="deploy"]').isDisabled(), true);
  assert.equal(await anna.locator('button[data-command="deploy"]').getAttribute('title'), '2 machines use the token of anna: choose one first');
  await shot(page, 'conflict-row-dark');
  await anna.getByRole('link', { name: 'anna' }).click();
  const panel = page.locator('sy-conflict');
  await panel.getByRole('heading', { name: '2 machines use the token of anna' }).waitFor();
  const machines = panel.locator('li');
  assert.equal(await machines.count(), 2);
  await machines.filter({ hasText: 'web-clone' }).getByText(/^last seen /).waitFor();
  await machines.filter({ hasText: 'boot 11111111' }).getByText('connected', { exact: true }).waitFor();
  await shot(page, 'conflict-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'conflict-light');
  await machines.filter({ hasText: 'boot 11111111' }).getByRole('button', { name: /^Use this machine/ }).click();
  await page.locator('dialog').getByRole('button', { name: 'Use this machine' }).click();
  await page.locator('.toast', { hasText: 'is now anna' }).waitFor();
  await panel.waitFor({ state: 'hidden' });
  const host = await (await fetch(`${world.url}/api/hosts/anna`)).json();
  assert.equal(host.conflict, null);
  await page.locator('button[data-command="deploy"]:not([disabled])').waitFor();
  await second.connect(two).catch(() => {});
  await until('the other one is turned away', () => second.closeCode === 4403);
  assert.deepEqual(errors, []);
  await page.context().close();
});

const STORE = `/nix/store/${'a'.repeat(32)}-nixos-system-`;
const CONFLICT = { since: new Date().toISOString(), machines: ['one', 'two'].map((boot_id, i) => ({ machine_id: 'm'.repeat(64), boot_id, hostname: `web${i}`, address: '2001:db8:85a3:8d3:1319:8a2e:370:7348', agent_version: '0.1.0', last_seen: new Date().toISOString(), connected: i === 1 })) };

test('whoever is no admin sees the machines, and why the choice is not theirs', async () => {
  for (const role of ['viewer', 'operator']) {
    for (const options of [{}, PHONE, { viewport: { width: 320, height: 256 } }]) {
      const { page } = await browser.page(options);
      await Stage.set(page, { hosts: [makeHost('anna', { conflict: CONFLICT })], role });
      await page.goto(`${world.url}/hosts/anna`);
      await page.locator('sy-conflict li button[disabled][title="Only admins can choose. Ask an admin."]').nth(1).waitFor();
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
      if (options === PHONE) await shot(page, 'conflict-phone-dark');
      await page.context().close();
    }
  }
});

test('a host whose next boot starts another system than the one that runs says so, and why it must reboot', async () => {
  const boot = makeRun('anna', { command: 'boot', generation_before: 12, generation_after: 13 });
  const host = makeHost('anna', {
    run: boot, deployment: deployed(boot), generation: 13, running_generation: 12, running: `${STORE}12`, booted: `${STORE}11`, profile: `${STORE}13`, boot_default: null,
    reboot_required: true, reboot_reasons: ['kernel', 'kernel-params', 'new-thing'],
  });
  const { page } = await browser.page({ viewport: { width: 1280, height: 800 } });
  const stage = await Stage.set(page, { hosts: [host, makeHost('berta')] });
  await page.goto(world.url);
  await row(page, 'anna').locator('.revision', { hasText: 'reboot needed · gen 12 · gen 13 at next boot' }).waitFor({ state: 'attached' });
  await row(page, 'berta').locator('.revision', { hasText: /gen 42$/ }).waitFor({ state: 'attached' });
  await page.goto(`${world.url}/hosts/anna`);
  await page.getByText('Generation 13 is set for the next boot; generation 12 is running', { exact: true }).waitFor();
  await page.getByText('needed: kernel, kernel parameters, new-thing').waitFor();
  await page.locator('.host-facts > div', { hasText: 'Booted' }).getByText('another system').waitFor();
  await shot(page, 'systems-dark');
  stage.send({ type: 'host_update', host: { ...host, running: `${STORE}13`, running_generation: 13, booted: `${STORE}13`, reboot_required: false, reboot_reasons: [] } });
  await page.getByText('not needed').waitFor();
  assert.equal(await page.getByText('is set for the next boot').count(), 0);
  assert.equal(await page.locator('.host-facts > div:visible', { hasText: /Next boot|Booted/ }).count(), 0);
  await page.context().close();
});
