/** The scrolling of very long logs, at device scale 1 and 2: browsers clip tall elements by pixels of the device. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { launch } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

const MILLION = 1_000_000;

/** @type {World} */
let world;
/** @type {string} */
let run;

before(async () => {
  world = await World.start(['anna', 'berta']);
  run = await world.host('anna').start('switch');
  world.host('anna').many(1, MILLION);
  world.host('anna').exit(0);
  await until('a million lines are there', async () => (await world.host('anna').run()).status === 'ok', 120_000);
});

after(async () => {
  await world?.end();
});

/** Where a line is on screen, relative to the log; null where it is not mounted. @param {Page} page @param {number} seq */
async function place(page, seq) {
  return page.evaluate((seq) => {
    const row = document.querySelector(`.log-row[data-seq="${seq}"]:not(.hole)`);
    const scroller = document.querySelector('.log-scroll');
    if (!row || !scroller) return null;
    const [a, b] = [row.getBoundingClientRect(), scroller.getBoundingClientRect()];
    return { top: Math.round(a.top - b.top), bottom: Math.round(b.top + scroller.clientHeight - a.bottom) };
  }, seq);
}

/** @param {Page} page @param {number} seq */
async function isInView(page, seq) {
  await until(`line ${seq} is in view`, async () => {
    const at = await place(page, seq);
    return at && at.top >= -1 && at.bottom >= -1;
  });
}

/** The first line that is wholly in view, and where. @param {Page} page */
async function firstInView(page) {
  return page.evaluate(() => {
    const scroller = /** @type {HTMLElement} */ (document.querySelector('.log-scroll'));
    const edge = scroller.getBoundingClientRect().top;
    const rows = [...scroller.querySelectorAll('.log-row')].map((row) => ({ seq: Number(/** @type {HTMLElement} */ (row).dataset['seq']), top: row.getBoundingClientRect().top - edge, text: row.textContent }));
    return rows.filter(({ top }) => top >= -0.5).sort((a, b) => a.top - b.top)[0] ?? { seq: -1, top: 0, text: '' };
  });
}

for (const scale of [1, 2]) {
  describe(`at device scale ${scale}`, () => {
    /** @type {Awaited<ReturnType<typeof launch>>} */
    let browser;

    before(async () => {
      browser = await launch(`--force-device-scale-factor=${scale}`, '--window-size=1440,900');
    });

    after(async () => {
      await browser?.close();
    });

    /** Without a viewport of the test's own, which would take the place of the scale. @param {string} behind */
    async function open(behind = '') {
      const { page } = await browser.page({ viewport: null });
      await page.goto(`${world.url}/hosts/anna/runs/${run}${behind}`);
      await page.locator('.log-row').first().waitFor();
      assert.equal(await page.evaluate(() => devicePixelRatio), scale);
      return page;
    }

    test('of a million lines the last is reached, the first too, and few nodes are there', async () => {
      const page = await open();
      await isInView(page, MILLION - 1);
      assert.equal((await place(page, MILLION - 1))?.bottom, 0, 'the last line is at the lower edge');
      const tall = await page.locator('.log-scroll').evaluate((scroller) => scroller.scrollHeight);
      assert.ok(tall <= 8_000_000, `${tall} px`);
      await page.keyboard.press('Home');
      await isInView(page, 0);
      assert.equal((await place(page, 0))?.top, 0);
      // With the scrollbar to its ends and to the middle.
      for (const [part, seq] of /** @type {const} */ ([[1, MILLION - 1], [0.5, MILLION / 2], [0, 0]])) {
        await page.locator('.log-scroll').evaluate((scroller, part) => (scroller.scrollTop = part * (scroller.scrollHeight - scroller.clientHeight)), part);
        await isInView(page, seq);
      }
      assert.ok((await page.locator('.log-scroll *').count()) < 200);
      await page.context().close();
    });

    test('wheel and keys move by lines, where a pixel of the scrollbar is many', async () => {
      const page = await open('#L500001');
      await isInView(page, 500_000);
      const before = await firstInView(page);
      const box = await page.locator('.log-scroll').boundingBox();
      assert.ok(box);
      await page.mouse.move(box.x + 300, box.y + 200);
      await page.mouse.wheel(0, -100);
      await until('five lines up', async () => (await firstInView(page)).seq === before.seq - 5);
      await page.keyboard.press('ArrowDown');
      await until('one line down', async () => (await firstInView(page)).seq === before.seq - 4);
      await page.keyboard.press('PageDown');
      await until('a page down', async () => (await firstInView(page)).seq > before.seq + 10);
      await page.context().close();
    });

    test('the first line in view stays when lines are loaded before it, when the window changes, and with wrapping', async () => {
      const page = await open('#L700001');
      await isInView(page, 700_000);
      await until('the page around is there', async () => (await page.locator('.log-row.hole').count()) === 0);
      const before = await firstInView(page);
      assert.equal(before.text, `line ${before.seq + 1}`);
      // The pages above come later.
      for (let i = 0; i < 3; i++) await page.keyboard.press('PageUp');
      await until('the page above is there', async () => /^line/.test((await firstInView(page)).text ?? ''));
      for (let i = 0; i < 3; i++) await page.keyboard.press('PageDown');
      await until('it is back', async () => (await firstInView(page)).seq === before.seq);
      const session = await page.context().newCDPSession(page);
      const { windowId } = await session.send('Browser.getWindowForTarget');
      for (const [width, height] of /** @type {const} */ ([[1100, 700], [1440, 900]])) {
        await session.send('Browser.setWindowBounds', { windowId, bounds: { width, height } });
        await until('the window has another size', () => page.evaluate((width) => Math.abs(innerWidth - width) < 20, width));
        assert.deepEqual(await firstInView(page), before);
      }
      await page.keyboard.press('w');
      await page.locator('sy-log.wrapped').waitFor();
      assert.equal((await firstInView(page)).seq, before.seq);
      await page.context().close();
    });

    test('a link to a line scrolls once, and leaves following off', async () => {
      const { page } = await browser.page({ viewport: null });
      await page.addInitScript(() => {
        /** @type {number[]} */
        const places = [];
        Object.assign(window, { places });
        addEventListener('scroll', (event) => places.push(/** @type {HTMLElement} */ (event.target).scrollTop), { capture: true });
      });
      await page.goto(`${world.url}/hosts/anna/runs/${run}#L300000`);
      await isInView(page, 299_999);
      await until('the page around is there', async () => (await page.locator('.log-row.hole').count()) === 0);
      const places = await page.evaluate(() => [.../** @type {number[]} */ (/** @type {any} */ (window).places)]);
      assert.ok(new Set(places).size <= 1, `scrolled to ${places.join(', ')}`);
      assert.equal(await page.getByText('Follow', { exact: true }).getAttribute('aria-pressed'), 'false');
      await page.context().close();
    });
  });
}

test('search finds line 3 of a million, and counts as grep does', async (t) => {
  const browser = await launch();
  try {
    const { page } = await browser.page();
    await page.goto(`${world.url}/hosts/anna/runs/${run}`);
    await isInView(page, MILLION - 1);
    await page.keyboard.press('/');
    const began = performance.now();
    await page.keyboard.type('line 3');
    const grep = Number(execFileSync('grep', ['-c', '\\] line 3', world.logFile('anna', run)], { encoding: 'utf8' }));
    assert.equal(grep, 111_111);
    await page.getByText('111,111 matching lines').waitFor();
    t.diagnostic(`counting 111,111 of a million lines took ${Math.round(performance.now() - began)} ms with the typing`);
    await page.locator('.log-scroll').focus();
    await page.keyboard.press('Home');
    await isInView(page, 0);
    await page.keyboard.press('n');
    await page.locator('.log-row.current[data-seq="2"]', { hasText: 'line 3' }).waitFor();
    await page.getByText('1 of 111,111').waitFor();
    // Backwards from the first is the last, which is far away and known exactly.
    await page.keyboard.press('N');
    await page.locator('.log-row.current[data-seq="399998"]', { hasText: 'line 399999' }).waitFor();
    await page.context().close();
  } finally {
    await browser.close();
  }
});
