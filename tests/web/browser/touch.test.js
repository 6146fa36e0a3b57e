/** A finger moves a log by lines, however many it has. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE } from './support/browser.js';
import { until } from './support/process.js';
import { deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

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

/** The number of the first line that is wholly in view, and whether it is there. @param {Page} page */
function first(page) {
  return page.evaluate(() => {
    const box = /** @type {HTMLElement} */ (document.querySelector('.log-scroll')).getBoundingClientRect();
    const row = [...document.querySelectorAll('.log-row')].find((one) => one.getBoundingClientRect().top >= box.top - 1);
    return { seq: Number(/** @type {HTMLElement | undefined} */ (row)?.dataset['seq'] ?? -1), text: row?.textContent };
  });
}

/** A log of so many lines at one of its lines, on a phone, not wrapped. @param {number} many @param {number} line */
async function open(many, line) {
  const { page, errors } = await browser.page(PHONE);
  const run = makeRun('anna', { lines: many });
  await Stage.set(page, { hosts: [makeHost('anna', { run, deployment: deployed(run) })], many });
  await page.goto(`${world.url}/hosts/anna/runs/${run.run_id}?wrap=off#L${line}`);
  await page.locator(`.log-row.marked[data-seq="${line - 1}"]:not(.hole)`).waitFor();
  const touches = await page.context().newCDPSession(page);
  const box = await page.locator('.log-scroll').boundingBox();
  assert.ok(box);
  const [x, middle] = [box.x + box.width / 2, box.y + box.height / 2];
  let y = middle;
  const finger = {
    down: () => touches.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y: (y = middle) }] }),
    /** @param {number} by pixels */
    move: (by) => touches.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [{ x, y: (y += by) }] }),
    up: () => touches.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] }),
  };
  return { page, errors, finger };
}

for (const many of [5000, 10_000_000]) {
  test(`of ${many.toLocaleString('en')} lines a finger moves as many as it goes over, and back`, async () => {
    const { page, errors, finger } = await open(many, 2501);
    const before = (await first(page)).seq;
    await finger.down();
    // A browser takes the first few pixels of a touch for a tap that trembles.
    for (let i = 0; i < 20; i++) await finger.move(-10);
    await until('it is some ten lines further', async () => (await first(page)).seq >= before + 8);
    const after = (await first(page)).seq;
    assert.ok(after <= before + 11, `${after - before} lines for a finger that went over ten`);
    for (let i = 0; i < 20; i++) await finger.move(10);
    await until('it is back', async () => Math.abs((await first(page)).seq - before) <= 2);
    // A finger that rests before it is lifted pushes nothing.
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
    await finger.up();
    const { seq, text } = await first(page);
    assert.ok(Math.abs(seq - before) <= 2, `${seq - before} lines away`);
    assert.equal(text, `line ${seq + 1}`);
    assert.deepEqual(errors, []);
    await page.context().close();
  });
}

test('of 10,000,000 lines a push goes on for a while by lines, and a touch ends it', async () => {
  const { page, finger } = await open(10_000_000, 5_000_001);
  // On a busy machine the finger may rest before it is lifted, which is no push: then it is tried again.
  const frames = () => page.evaluate(async () => {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
  });
  let before = 0;
  await until('it goes on', async () => {
    before = (await first(page)).seq;
    await finger.down();
    for (let i = 0; i < 10; i++) await finger.move(-20);
    await finger.up();
    await frames();
    return (await first(page)).seq > before + 12;
  }, 60_000);
  await finger.down();
  await finger.up();
  const at = (await first(page)).seq;
  assert.ok(at < before + 200, `${at - before} lines for a push of ten`);
  await page.evaluate(async () => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
  });
  assert.ok((await first(page)).seq - at <= 2, 'it stands');
  await page.context().close();
});
