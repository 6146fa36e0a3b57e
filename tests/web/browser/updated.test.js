/** A page that is open while its dashboard is updated says so. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE, row, shot } from './support/browser.js';
import { until } from './support/process.js';
import { makeHost, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna'] });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** Of a page: The dashboard was updated · Reload. @param {import('playwright-core').Page} page */
const banner = (page) => page.locator('sy-banner', { hasText: 'The dashboard was updated' });

test('a page says that the dashboard was updated, and Reload loads it anew', async () => {
  for (const options of [{}, PHONE]) {
    const { page, errors } = await browser.page(options);
    const hosts = [makeHost('anna')];
    const stage = await Stage.set(page, { hosts });
    const tell = (/** @type {string} */ version) => stage.send({ type: 'hosts', hosts, more: false, version });
    await page.goto(world.url);
    await row(page, 'anna').waitFor();
    tell('0.1.0+aaaaaaa');
    // The same version again, as after a break of the connection, is no news.
    tell('0.1.0+aaaaaaa');
    stage.send({ type: 'host_update', host: makeHost('anna', { hostname: 'anna', reboot_required: true }) });
    await row(page, 'anna').getByText('reboot needed').waitFor({ state: 'attached' });
    assert.equal(await page.locator('sy-banner').isVisible(), false);
    tell('0.1.0+bbbbbbb');
    await banner(page).waitFor();
    assert.equal(await banner(page).getByRole('button', { name: 'Try now' }).isVisible(), false);
    await shot(page, `updated-${options === PHONE ? 'phone-' : ''}dark`);
    await page.evaluate(() => Object.assign(window, { old: true }));
    await banner(page).getByRole('button', { name: 'Reload' }).click();
    await until('the page is another one', async () => page.evaluate(() => !('old' in window)).catch(() => false));
    await row(page, 'anna').waitFor();
    assert.equal(await page.locator('sy-banner').isVisible(), false);
    assert.deepEqual(errors, []);
    await page.context().close();
  }
});

test('the dashboard tells its version with the hosts, and the same one after a restart is no news', async () => {
  const { page } = await browser.page();
  /** @type {string[]} */
  const versions = [];
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      for (const message of [JSON.parse(String(payload))].flat()) if (message.type === 'hosts') versions.push(message.version);
    }),
  );
  await page.goto(world.url);
  await row(page, 'anna').waitFor();
  await world.stopDashboard();
  await world.startDashboard();
  await until('it tells the hosts again', () => versions.length >= 2, 30_000);
  assert.match(versions[0] ?? '', /^.+$/);
  assert.deepEqual([...new Set(versions)], versions.slice(0, 1));
  await page.locator('sy-banner').waitFor({ state: 'hidden' });
  await page.context().close();
});
