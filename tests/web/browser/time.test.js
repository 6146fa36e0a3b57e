/** Ages and durations in a browser whose clock is wrong. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { command, launch, row } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start(['anna', 'berta']);
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {string} text such as `0:07 · Switch` */
const seconds = (text) => text.split(' ')[0]?.split(':').reduce((sum, part) => sum * 60 + Number(part), 0) ?? NaN;

for (const [name, offset] of /** @type {const} */ ([['an hour fast', 3_600_000], ['an hour slow', -3_600_000]])) {
  test(`a browser whose clock is ${name} shows the right elapsed time and last contact while hosts are online`, async () => {
    const { page, errors } = await browser.page();
    await page.addInitScript((offset) => {
      const Real = Date;
      const now = () => Real.now() + offset;
      globalThis.Date = /** @type {any} */ (class extends Real {
        /** @param {any[]} args */
        constructor(...args) {
          // @ts-ignore what it is given is what the real one takes
          super(...(args.length === 0 ? [now()] : args));
        }
        /** @override */
        static now = now;
      });
    }, offset);
    await page.goto(world.url);
    const began = Date.now();
    await command(row(page, 'anna'), 'switch');
    const elapsed = row(page, 'anna').locator('.elapsed', { hasText: /^\d+:\d\d/ });
    await elapsed.waitFor();
    await until('the time goes on', async () => seconds((await elapsed.textContent()) ?? '') >= 2);
    const shown = seconds((await elapsed.textContent()) ?? '');
    assert.ok(shown <= (Date.now() - began) / 1000 + 4, `${shown} s after ${Date.now() - began} ms`);
    world.host('anna').exit(0);
    await row(page, 'anna').locator('.elapsed', { hasText: /^Switch · (just now|\d+ s ago)$/ }).waitFor();
    await world.host('berta').disconnect();
    await row(page, 'berta').locator('.row-text', { hasText: /^No contact for \d+ s$/ }).waitFor();
    await world.host('berta').reconnect();
    await row(page, 'berta').locator('sy-state[data-state="idle"]').waitFor();
    assert.deepEqual(errors, []);
    await page.context().close();
  });
}
