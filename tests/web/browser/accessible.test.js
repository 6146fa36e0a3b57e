import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { command, launch, row, seesLine } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;
/** @type {string} */
let failed;

before(async () => {
  browser = await launch();
  world = await World.start(['anna', 'berta']);
  failed = await world.host('anna').start('switch');
  world.host('anna').out('\\x1b[31mred\\x1b[0m \\x1b[2;90mdim grey\\x1b[0m \\x1b[38;5;226myellow\\x1b[0m \\x1b[38;2;0;0;90mdark blue\\x1b[0m \\x1b[7;31minverse\\x1b[0m');
  world.host('anna').err('warning: something');
  world.host('anna').err('toy-1.0> error: it is broken');
  world.host('anna').exit(1);
  await world.host('anna').ended('error');
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** Texts on screen whose contrast is too low, as the browser paints them. @param {Page} page */
async function unreadable(page) {
  return page.evaluate(() => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
    /** @param {string[]} colors painted over each other */
    const paint = (...colors) => {
      context.clearRect(0, 0, 1, 1);
      for (const color of colors) {
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
      }
      return [...context.getImageData(0, 0, 1, 1).data];
    };
    /** @param {number[]} rgb */
    const luminance = ([r = 0, g = 0, b = 0]) => {
      const [x = 0, y = 0, z = 0] = [r, g, b].map((n) => (n / 255 <= 0.04045 ? n / 255 / 12.92 : ((n / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const found = [];
    for (const element of document.querySelectorAll('body *')) {
      const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.nodeValue?.trim()).join('');
      if (!text || !(element instanceof HTMLElement) || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      if (element.closest('button:disabled, .unseen, option')) continue;
      /** @type {string[]} */
      const grounds = [];
      for (let at = /** @type {Element | null} */ (element); at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
      const style = getComputedStyle(element);
      const ground = paint('white', ...grounds);
      const dimmed = Number(style.opacity);
      const ink = paint('white', ...grounds, style.color).map((c, i) => c * dimmed + (ground[i] ?? 0) * (1 - dimmed));
      const [hi = 0, lo = 0] = [luminance(ink), luminance(ground)].sort((a, b) => b - a);
      const ratio = (hi + 0.05) / (lo + 0.05);
      if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${element.tagName} ${element.className} "${text.slice(0, 40)}"`);
    }
    return found;
  });
}

test('every text on screen is readable, in both themes and on every place', async () => {
  const { page } = await browser.page();
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    await page.emulateMedia({ colorScheme });
    for (const path of ['/', '/access', '/access?tab=audit', '/hosts/anna', `/hosts/anna/runs/${failed}#L3`, `/hosts/anna/runs/${failed}?q=something`]) {
      await page.goto(world.url + path);
      await page.locator('sy-state').first().waitFor();
      if (path.includes('/runs/')) await seesLine(page.locator('sy-log'), 'it is broken');
      assert.deepEqual(await unreadable(page), [], `${path}, ${colorScheme}`);
    }
  }
  await page.context().close();
});

test('the dialogs of tokens are readable in both themes, and everything in them has a name', async () => {
  const { page } = await browser.page();
  for (const colorScheme of /** @type {const} */ (['dark', 'light'])) {
    await page.emulateMedia({ colorScheme });
    await page.goto(`${world.url}/access`);
    await page.getByRole('button', { name: 'New token…' }).click();
    for (const kind of ['Enrolment', 'The API', 'A host']) {
      await page.getByLabel(kind).check();
      assert.deepEqual(await unreadable(page), [], `${kind}, ${colorScheme}`);
      assert.equal(await page.locator('.fields :is(input, select)').evaluateAll((all) => all.every((one) => (/** @type {HTMLInputElement} */ (one).labels?.length ?? 0) > 0)), true);
    }
    await page.getByLabel('Host', { exact: true }).fill(`new-${colorScheme}`);
    await page.getByRole('button', { name: 'Create token' }).click();
    await page.getByText('Save it now: it is shown only once').waitFor();
    assert.deepEqual(await unreadable(page), [], colorScheme);
    await page.getByRole('button', { name: 'I have saved it' }).click();
    await page.getByRole('button', { name: `Revoke the token of new-${colorScheme}` }).click();
    assert.deepEqual(await unreadable(page), [], colorScheme);
  }
  await page.context().close();
});

test('everything that can be acted on has a name, and no place has two main headings', async () => {
  const { page } = await browser.page();
  for (const path of ['/', '/access', '/access?tab=audit', '/hosts/anna', `/hosts/anna/runs/${failed}?q=something`]) {
    await page.goto(world.url + path);
    await page.locator('sy-state').first().waitFor();
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll('button, a, input, select, [role="progressbar"], [role="img"]')]
        .filter((element) => element.checkVisibility() && !(element.textContent?.trim() || element.getAttribute('aria-label') || element.closest('label')))
        .map((element) => element.outerHTML),
    );
    assert.deepEqual(nameless, [], path);
    assert.equal(await page.locator('h1').count(), 1, path);
  }
  await page.context().close();
});

test('a quiet region tells of states that change, and the log itself is silent', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  const berta = row(page, 'berta');
  await command(berta, 'switch');
  world.host('berta').many(1, 50);
  await seesLine(berta, 'line 50');
  const region = page.locator('sy-announcer');
  await region.getByText('Switch on berta: running').waitFor({ state: 'attached' });
  assert.equal(await region.getAttribute('role'), 'status');
  assert.equal(await page.locator('[role="log"]').getAttribute('aria-live'), 'off');
  assert.equal(await page.title(), '✗ 1 running · Switchyard');
  assert.equal(await page.locator('link[rel="icon"]').getAttribute('href'), '/icons/failed.svg');
  world.host('berta').nix('building', 0, 42);
  world.host('berta').nix('building', 7, 42);
  await berta.getByText('Open run →').click();
  await region.getByText('Building, 7 of 42').waitFor({ state: 'attached' });
  assert.equal(await page.title(), '▶ switch on berta · Switchyard');
  world.host('berta').exit(0);
  await region.getByText('Switch on berta: ok').waitFor({ state: 'attached' });
  await until('the title says so', async () => (await page.title()) === '✓ switch on berta · Switchyard');
  await page.context().close();
});

test('who wants less motion gets none', async () => {
  const { page } = await browser.page({ reducedMotion: 'reduce' });
  await page.goto(world.url);
  const berta = row(page, 'berta');
  await command(berta, 'switch');
  await berta.locator('.phase-track.unknown').waitFor();
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  await until('otherwise something moves', async () => (await page.evaluate(() => document.getAnimations().length)) > 0);
  world.host('berta').exit(0);
  await world.host('berta').ended('ok');
  await page.context().close();
});
