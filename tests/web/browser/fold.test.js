/** Phases and derivations of a log are folded and unfolded, and no line is lost by it. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;
/** @type {string} */
let run;

/** Evaluating has 40 lines, building 3,000 of two derivations in turns, activating 80. */
const LINES = [
  ...Array.from({ length: 40 }, (_, i) => `evaluating file ${i}`),
  `building '/nix/store/${'a'.repeat(32)}-nginx-1.29.drv'...`,
  `building '/nix/store/${'b'.repeat(32)}-hello-2.12.drv'...`,
  ...Array.from({ length: 2998 }, (_, i) => (i % 2 ? `hello-2.12> checking ${i}` : `nginx-1.29> compiling ${i}`)),
  ...Array.from({ length: 80 }, (_, i) => `setting up part ${i}`),
];
const STARTED = new Date().toISOString();
const PHASES = [['evaluation', 0], ['building', 40], ['activation', 3040]].map(([phase, seq]) => ({ phase, seq, started: STARTED }));

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna', 'berta', 'clara'] });
  run = await begin('anna');
  for (let at = 0; at < LINES.length; at += 500) agent('anna').output(at, LINES.slice(at, at + 500));
  progress('anna', PHASES);
  agent('anna').end('ok', { lines: LINES.length });
  await until('it is over', async () => (await (await fetch(`${world.url}/api/hosts/anna/runs/${run}`)).json()).status === 'ok');
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {string} name */
function agent(name) {
  const found = world.wire.get(name);
  assert.ok(found);
  return found;
}

/** @param {string} host */
async function begin(host) {
  await agent(host).connect();
  const asked = await fetch(`${world.url}/api/hosts/${host}/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: '{"command":"switch"}' });
  assert.equal(asked.status, 202);
  return agent(host).begin();
}

/** @param {string} host @param {object[]} phases */
function progress(host, phases) {
  agent(host).send({ type: 'progress', host_id: host, run_id: agent(host).command?.run_id, phases, done: null, expected: null, running: null, failed: null, tests: null });
}

/** @param {string} query @param {import('playwright-core').BrowserContextOptions} [options] */
async function open(query, options) {
  const opened = await browser.page({ permissions: ['clipboard-read', 'clipboard-write'], ...options });
  await opened.page.goto(`${world.url}/hosts/anna/runs/${run}${query}`);
  await opened.page.locator('.log-row[data-seq]').first().waitFor();
  return opened;
}

/** The rows in view, from the first: numbers of lines, and `▸` before those that stand for a folded section; none as long as the page has no log. @param {Page} page */
function rows(page) {
  return page.evaluate(() => {
    const box = document.querySelector('.log-scroll')?.getBoundingClientRect();
    if (!box) return [];
    return [...document.querySelectorAll('.log-row')]
      .filter((row) => row.getBoundingClientRect().top >= box.top - 1 && row.getBoundingClientRect().bottom <= box.bottom + 1)
      .map((row) => `${row.classList.contains('head') ? '▸' : ''}${/** @type {HTMLElement} */ (row).dataset['seq']}`);
  });
}

/** @param {Page} page @param {number} seq */
const head = (page, seq) => page.locator(`.log-row.head[data-seq="${seq}"]`);

test('a phase is folded into one row that says how many lines it stands for, from its list, its first line and by key', async () => {
  const { page, errors } = await open('');
  await page.getByRole('button', { name: 'Fold Building' }).first().click();
  await head(page, 40).waitFor();
  assert.equal(await head(page, 40).locator('.fold').getAttribute('data-label'), '🔨 Building · 3,000 lines');
  assert.equal(new URL(page.url()).search, '?fold=:1');
  assert.equal(await page.locator('.log-scroll').evaluate((scroller) => scroller.scrollHeight), 121 * 20);
  await page.locator('.log-scroll').press('End');
  await page.locator('.log-row[data-seq="3119"]').waitFor();
  // Its row unfolds it, and the line at the upper edge stays.
  await page.locator('.log-scroll').press('Home');
  await page.locator('.log-row[data-seq="0"]').waitFor();
  for (let i = 0; i < 10; i++) await page.locator('.log-scroll').press('ArrowDown');
  await until('it is ten lines further', async () => (await rows(page))[0] === '10');
  await page.setViewportSize({ width: 1440, height: 1200 });
  await head(page, 40).waitFor();
  await shot(page, 'fold-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'fold-light');
  const before = await rows(page);
  await head(page, 40).locator('.fold').click();
  await page.locator('.log-row[data-seq="41"]').waitFor();
  assert.equal((await rows(page))[0], before[0]);
  assert.equal(new URL(page.url()).search, '');
  // The key means the phase at the upper edge.
  await page.locator('.log-scroll').press('Home');
  await until('the beginning is in view', async () => (await rows(page))[0] === '0');
  await page.keyboard.press('z');
  await head(page, 0).waitFor();
  assert.deepEqual((await rows(page)).slice(0, 3), ['▸0', '40', '41']);
  await page.keyboard.press('z');
  await until('it is unfolded', async () => (await rows(page))[1] === '1');
  await page.keyboard.press('Z');
  await until('three rows are left', async () => (await rows(page)).join() === '▸0,▸40,▸3040');
  await page.reload();
  await until('the address has kept it', async () => (await rows(page)).join() === '▸0,▸40,▸3040');
  await page.getByRole('button', { name: 'Unfold all' }).first().click();
  await until('everything is back', async () => (await rows(page))[1] === '1');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('the head stays at the upper edge while its phase is read, with the derivation the line is of', async () => {
  const { page } = await open('#L1500');
  await page.locator('.log-row.marked[data-seq="1499"]').waitFor();
  const bar = page.locator('sy-folds');
  await bar.locator('[data-label="🔨 Building · 3,000 lines"]').waitFor();
  const top = Number((await rows(page))[0]);
  const name = LINES[top]?.startsWith('hello') ? 'hello-2.12' : 'nginx-1.29';
  await bar.getByRole('button', { name: `Fold ${name}` }).click();
  await until('every other line is gone', async () => (await rows(page)).every((row, i, all) => i === 0 || Number(row) - Number(all[i - 1]) === 2));
  assert.equal(new URL(page.url()).searchParams.get('fold'), name);
  // One row stands for all of them, where the first one was.
  await page.locator('.log-scroll').press('Home');
  const first = LINES.findIndex((line) => line.startsWith(`${name}> `));
  await head(page, first).waitFor({ state: 'attached' });
  assert.equal(await head(page, first).locator('.fold').getAttribute('data-label'), `${name} · 1,499 lines`);
  await page.locator('.log-scroll').press('End');
  await bar.locator('[data-label="⚡ Activating · 80 lines"]').waitFor();
  await page.context().close();
});

test('what is folded is unfolded where a search, an error or a link leads into it, and copied with the rest', async () => {
  const { page } = await open('?fold=:0,:1,nginx-1.29#L2000');
  await page.locator('.log-row.marked[data-seq="1999"]').waitFor();
  await head(page, 0).waitFor({ state: 'detached' });
  await page.locator('.log-scroll').press('Z');
  await until('all is folded', async () => (await rows(page)).join() === '▸0,▸40,▸3040');
  await page.locator('.log-scroll').press('Control+a');
  await page.locator('.log-scroll').press('Control+c');
  await page.getByText('3,120 lines copied').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), LINES.join('\n'));
  await page.keyboard.press('/');
  await page.keyboard.type('compiling 1000');
  await page.getByText('1 matching line').waitFor();
  await page.locator('.log-scroll').focus();
  await page.keyboard.press('n');
  await page.locator('.log-row.current[data-seq="1042"]:not(.head)', { hasText: 'nginx-1.29> compiling 1000' }).waitFor();
  await page.context().close();
});

test('a phase that is folded while it grows stays one row, and the next one is shown', async () => {
  const id = await begin('berta');
  const berta = agent('berta');
  berta.output(0, ['one', 'two', 'three']);
  progress('berta', [{ phase: 'evaluation', seq: 0, started: STARTED }]);
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/berta/runs/${id}`);
  await page.locator('.log-row', { hasText: 'three' }).waitFor();
  await page.locator('sy-folds').getByRole('button', { name: 'Fold Evaluating' }).click();
  await page.locator('.fold[data-label="🔄 Evaluating · 3 lines"]').last().waitFor();
  berta.output(3, Array.from({ length: 500 }, (_, i) => `more ${i}`));
  await page.locator('.log-row.head .fold[data-label="🔄 Evaluating · 503 lines"]').waitFor();
  assert.deepEqual(await rows(page), ['▸0']);
  berta.output(503, ['toy-1.0> a', 'toy-1.0> b', 'else']);
  progress('berta', [{ phase: 'evaluation', seq: 0, started: STARTED }, { phase: 'building', seq: 503, started: STARTED }]);
  await page.locator('.log-row', { hasText: 'else' }).waitFor();
  assert.deepEqual(await rows(page), ['▸0', '503', '504', '505']);
  // Output of a derivation that comes after it was folded is folded, too.
  await page.goto(`${world.url}/hosts/berta/runs/${id}?fold=:0,toy-1.0`);
  await until('it is folded', async () => (await rows(page)).join() === '▸0,▸503,505');
  berta.output(506, ['toy-1.0> c', 'last', 'toy-1.0> d']);
  await page.locator('.log-row', { hasText: 'last' }).waitFor();
  await page.locator('.fold[data-label="toy-1.0 · 4 lines"]').waitFor();
  assert.deepEqual(await rows(page), ['▸0', '▸503', '505', '507']);
  berta.end('ok', { lines: 509 });
  await page.context().close();
});

test('what folds a phase and what names the day lie beside the end of a long line, not over it', async () => {
  const id = await begin('clara');
  const lines = [`a long first line ${'x'.repeat(150)}`, `a long line of the next day ${'y'.repeat(140)}`, 'short'];
  const times = ['2026-01-01T12:00:00.000Z', '2026-01-02T12:00:00.000Z', '2026-01-02T12:00:01.000Z'];
  agent('clara').send({ type: 'output', host_id: 'clara', run_id: id, command: 'switch', seq: 0, lines: lines.map((line, i) => ({ line, timestamp: times[i], is_error: false })) });
  progress('clara', [{ phase: 'evaluation', seq: 0, started: STARTED }]);
  agent('clara').end('ok', { lines: lines.length });
  const { page, errors } = await browser.page();
  await page.goto(`${world.url}/hosts/clara/runs/${id}`);
  const chip = page.locator('.log-row[data-seq="0"] > .fold');
  await chip.waitFor();
  await page.locator('.log-row[data-seq="1"][data-day]').waitFor();
  // Among these are windows in which the lines just end below what lies at the end of the row.
  for (let width = 1200; width <= 1800; width += 40) {
    await page.setViewportSize({ width, height: 800 });
    const { chipLeft, dayLeft, ends, heights } = await page.locator('.log-scroll').evaluate(async (scroller) => {
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      scroller.scrollLeft = scroller.scrollWidth;
      const rows = [...scroller.querySelectorAll('.log-row')];
      const ends = rows.map((one) => {
        const range = document.createRange();
        range.selectNodeContents(/** @type {Node} */ (one.lastChild));
        return range.getBoundingClientRect().right;
      });
      const day = getComputedStyle(/** @type {Element} */ (rows[1]), '::after');
      const box = scroller.getBoundingClientRect();
      const right = Math.min(/** @type {Element} */ (rows[1]).getBoundingClientRect().right - 16, box.left + scroller.clientWidth - 12);
      return { chipLeft: scroller.querySelector('.fold')?.getBoundingClientRect().left ?? 0, dayLeft: right - parseFloat(day.width), ends, heights: rows.map((one) => one.getBoundingClientRect().height) };
    });
    assert.ok((ends[0] ?? Infinity) <= chipLeft, `at ${width} px the line ends at ${ends[0]} and the chip begins at ${chipLeft}`);
    assert.ok((ends[1] ?? Infinity) <= dayLeft, `at ${width} px the line ends at ${ends[1]} and the day begins at ${dayLeft}`);
    assert.deepEqual([...new Set(heights)], [20]);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.locator('.log-scroll').evaluate((scroller) => (scroller.scrollLeft = 0));
  await shot(page, 'fold-long-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.locator('.log-scroll').evaluate((scroller) => (scroller.scrollLeft = scroller.scrollWidth));
  await shot(page, 'fold-long-light');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('folded or not, the log has room on a phone and at 400 % zoom', async () => {
  for (const [name, options] of /** @type {const} */ ([['phone', PHONE], ['zoomed', { viewport: { width: 320, height: 256 } }], ['1280', { viewport: { width: 1280, height: 800 } }]])) {
    const { page } = await open('?fold=:0#L100', options);
    await page.locator('.log-row.marked').waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name}: ${wide} px too wide`);
    const height = (await page.locator('.log-scroll').boundingBox())?.height ?? 0;
    assert.ok(height >= (name === 'zoomed' ? 60 : 160), `${name}: the log is ${height} px high`);
    await shot(page, `fold-${name}-dark`);
    await page.context().close();
  }
});
