/** What has how much room, in windows of every width. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE, row, seesLine, shot } from './support/browser.js';
import { ago, deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

const WIDTHS = [320, 390, 768, 1100, 1280, 1440];
const LONG = 'web02-with-a-name-that-is-as-long-as-the-name-of-a-host-may-be0';
const REASON = `linux-6.12.30-modules failed to build (exit code 1): No space left on device while writing /build/source/${'drivers/gpu/drm/amd/display/dc/dcn32/'.repeat(8)}dcn32_resource.o`;
const RUN = '2026-01-01T10-00-00-switch';

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

/** @param {string} host_id */
const failed = (host_id) => makeRun(host_id, { status: 'error', exit_code: 1, message: `error: ${REASON}\n${REASON}`, cause: [{ kind: 'derivation', name: 'linux-6.12.30-modules', summary: REASON, from: 3, to: 9, line: 5 }], requested_by: `somebody-${'with-a-long-name-'.repeat(6)}` });

/** @param {Page} page */
async function longFleet(page) {
  const switched = makeRun('db01');
  return Stage.set(page, {
    role: 'admin',
    hosts: [
      makeHost(LONG, { run: failed(LONG), behind: 1234, reboot_required: true, clock_skew_ms: 3_600_000, revision: `not-a-hash-${'x'.repeat(90)}` }),
      makeHost('web01', { run: failed('web01') }),
      makeHost('db01', { deployment: deployed(switched), run: makeRun('db01', { command: 'pull', run_id: '2026-01-01T11-00-00-pull', status: 'error', message: `fatal: unable to access ${'https://git.example.org/'.repeat(20)}` }) }),
      makeHost('build1', { run: makeRun('build1', { status: 'running', completed: null, duration_ms: null, started: ago(75), phase: 'building', done: 15, expected: 42 }) }),
      makeHost('nas', { online: false, last_seen: ago(7200), run: makeRun('nas') }),
      makeHost('well', { run: makeRun('well'), deployment: deployed(makeRun('well')) }),
    ],
    runs: [switched],
    lines: Array.from({ length: 300 }, (_, i) => `building '/nix/store/${'a'.repeat(32)}-thing-${i}.drv'${i % 50 === 0 ? REASON : ''}`),
  });
}

/** @param {Page} page */
const overflow = (page) => page.evaluate(() => (document.scrollingElement?.scrollWidth ?? 0) - innerWidth);

test('no page is wider than its window, however long names, reasons and revisions are', async () => {
  const { page, errors } = await browser.page();
  await longFleet(page);
  for (const [path, there] of [['/', 'sy-host-row'], [`/hosts/${LONG}`, '.run-item'], [`/hosts/${LONG}/runs/${RUN}`, '.log-row'], ['/access', '.token-row'], ['/access?tab=audit', '.audit-row']]) {
    await page.goto(world.url + path);
    await page.locator(there ?? '').last().waitFor();
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      assert.ok((await overflow(page)) <= 0, `${path} at ${width} px is ${await overflow(page)} px too wide`);
    }
  }
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('the reason has the most room at every width, two lines where it failed, and a row is 40 px in a wide window', async () => {
  const { page } = await browser.page();
  await longFleet(page);
  await page.goto(world.url);
  await row(page, 'well').waitFor();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    for (const name of [LONG, 'well']) {
      const widths = await row(page, name).locator('.row-main').evaluate((main) => Object.fromEntries([...main.children].map((part) => [part.className || part.localName, part.getBoundingClientRect().width])));
      const { 'row-doing': reason = 0, ...others } = widths;
      assert.ok(Object.values(others).every((other) => other < reason), `${name} at ${width} px: ${JSON.stringify(widths)}`);
    }
    const reason = await row(page, 'web01').locator('.row-text').evaluate((text) => text.getBoundingClientRect().height / parseFloat(getComputedStyle(text).lineHeight));
    assert.equal(Math.round(reason), 2, `lines of the reason at ${width} px`);
    if (width < 1280) continue;
    const heights = await page.locator('sy-host-row').evaluateAll((rows) => rows.slice(1).map((one) => Math.round(one.getBoundingClientRect().height)));
    assert.deepEqual([...new Set(heights)], [40], `rows at ${width} px`);
  }
  await page.context().close();
});

test('at 400 % zoom the log has height, and what is above it gives way', async () => {
  const { page } = await browser.page({ viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 });
  await longFleet(page);
  await page.goto(`${world.url}/hosts/web01/runs/${RUN}`);
  await seesLine(page.locator('sy-log'), 'thing-');
  const box = await page.locator('.log-scroll').boundingBox();
  assert.ok(box && box.height >= 60 && box.y + box.height <= 257, JSON.stringify(box));
  await shot(page, 'run-zoomed-dark');
  await page.context().close();
});

test('on a phone the whole toolbar is there, lines are wrapped, and times are off unless the address says so', async () => {
  const { page } = await browser.page(PHONE);
  await longFleet(page);
  await page.goto(`${world.url}/hosts/web01/runs/${RUN}#L300`);
  await seesLine(page.locator('sy-log'), 'thing-299');
  const cut = await page.locator('.log-toolbar').evaluate((bar) => [...bar.children].filter((tool) => tool.checkVisibility() && (tool.getBoundingClientRect().right > innerWidth || tool.getBoundingClientRect().left < 0)).map((tool) => tool.textContent));
  assert.deepEqual(cut, []);
  assert.equal(await page.locator('sy-log.wrapped').count(), 1);
  assert.match((await page.locator('.log-row[data-seq="299"]').getAttribute('data-gutter')) ?? '', /^ *300$/);
  await shot(page, 'phone-run-toolbar-dark');
  await page.goto(`${world.url}/hosts/web01/runs/${RUN}?wrap=off&times=clock#L300`);
  await seesLine(page.locator('sy-log'), 'thing-299');
  assert.equal(await page.locator('sy-log.wrapped').count(), 0);
  assert.match((await page.locator('.log-row[data-seq="299"]').getAttribute('data-gutter')) ?? '', /300 +\d\d:\d\d:\d\d/);
  await page.context().close();
});
