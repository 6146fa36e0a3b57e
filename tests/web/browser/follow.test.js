import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, row, seesLine } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;
/** @type {string} */
let run;
let lines = 0;

before(async () => {
  browser = await launch();
  world = await World.start(['anna', 'berta']);
  run = await world.host('anna').start('switch');
  await more(3000);
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** Prints so many lines more. @param {number} n */
async function more(n) {
  world.host('anna').many(lines + 1, lines + n);
  lines += n;
  await until('they are stored', async () => (await world.host('anna').run()).lines === lines);
}

async function open() {
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/anna/runs/${run}`);
  await page.locator(`.log-row[data-seq="${lines - 1}"]`).waitFor();
  const box = await page.locator('.log-scroll').boundingBox();
  assert.ok(box);
  return { page, box };
}

/** @param {Page} page */
async function follows(page) {
  return (await page.getByText('Follow', { exact: true }).getAttribute('aria-pressed')) === 'true';
}

/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/** @type {Record<string, {why: RegExp, act: (page: Page, box: Box) => Promise<unknown>}>} */
const INTENTS = {
  'the pointer moves over the log': { why: /pointer is over/, act: (page, box) => page.mouse.move(box.x + 300, box.y + 80, { steps: 3 }) },
  'the wheel goes up': {
    why: /you scrolled/,
    act: async (page, box) => {
      await page.mouse.move(box.x + 300, box.y + 80);
      await page.mouse.wheel(0, -300);
    },
  },
  PageUp: { why: /you scrolled/, act: (page) => page.locator('.log-scroll').press('PageUp') },
  Home: { why: /you scrolled/, act: (page) => page.locator('.log-scroll').press('Home') },
  'the arrow up': { why: /you scrolled/, act: (page) => page.locator('.log-scroll').press('ArrowUp') },
  'the scrollbar': { why: /you scrolled/, act: (page) => page.locator('.log-scroll').evaluate((scroller) => (scroller.scrollTop = 500)) },
  'a selection': {
    why: /text is selected/,
    act: async (page, box) => {
      await page.mouse.move(box.x + 160, box.y + 80);
      await page.mouse.down();
      await page.mouse.move(box.x + 190, box.y + 120, { steps: 4 });
      await page.mouse.up();
    },
  },
  'a search': { why: /you search/, act: (page) => page.keyboard.press('/') },
  'an error one goes to': { why: /you search/, act: (page) => page.keyboard.press('e') },
  'a line link': { why: /line you went to/, act: (page) => page.evaluate(() => (location.hash = '#L100')) },
  'the button': { why: /^paused$/, act: (page) => page.getByText('Follow', { exact: true }).click() },
};

/** Where the log is scrolled to, once nothing moves it any more. @param {import('playwright-core').Page} page */
const stillTop = (page) =>
  page.locator('.log-scroll').evaluate(async (scroller) => {
    let top = scroller.scrollTop;
    for (let frames = 0; frames < 5; frames++) {
      await new Promise(requestAnimationFrame);
      if (scroller.scrollTop !== top) frames = 0;
      top = scroller.scrollTop;
    }
    return top;
  });

for (const [name, { why, act }] of Object.entries(INTENTS)) {
  test(`following pauses by ${name}; what comes is counted, and End goes on`, async () => {
    const { page, box } = await open();
    await page.mouse.move(5, 5);
    assert.equal(await follows(page), true);
    await act(page, box);
    await until('it is paused', async () => !(await follows(page)));
    const before = lines;
    const top = await stillTop(page);
    await more(137);
    await page.getByText(`▼ ${lines - before} new`, { exact: true }).waitFor();
    assert.match((await page.locator('.pill-why').textContent()) ?? '', why);
    if (name !== 'a line link') assert.equal(await page.locator('.log-scroll').evaluate((scroller) => scroller.scrollTop), top);
    await page.locator('.log-scroll').press('End');
    await page.locator(`.log-row[data-seq="${lines - 1}"]`).waitFor();
    assert.equal(await follows(page), true);
    assert.equal(await page.locator('.pill').isVisible(), false);
    await page.context().close();
  });
}

test('bursts, long lines that wrap, and a page that moves under the pointer do not pause', async () => {
  const { page } = await open();
  await page.mouse.move(5, 5);
  await page.locator('.log-scroll').press('w');
  world.host('anna').long(3000);
  lines += 1;
  await more(20_000);
  await page.locator(`.log-row[data-seq="${lines - 1}"]`, { hasText: /^line / }).waitFor();
  assert.equal(await follows(page), true);
  world.host('anna').long(3000);
  lines += 1;
  await page.locator(`.log-row[data-seq="${lines - 1}"]`, { hasText: 'xxx' }).waitFor();
  assert.equal(await follows(page), true);
  const end = await page.evaluate(() => {
    const scroller = /** @type {HTMLElement} */ (document.querySelector('.log-scroll'));
    const rows = [...scroller.querySelectorAll('.log-row')].map((r) => r.getBoundingClientRect().bottom);
    return Math.round(Math.max(...rows) - scroller.getBoundingClientRect().top - scroller.clientHeight);
  });
  assert.equal(end, 0, 'the last line ends at the lower edge');
  await page.context().close();
});

test('leaving brings back only what hovering stopped', async () => {
  const { page, box } = await open();
  await page.mouse.move(box.x + 300, box.y + 80, { steps: 3 });
  await until('hovering pauses', async () => !(await follows(page)));
  await page.mouse.move(5, 5);
  await until('leaving resumes', () => follows(page));
  await page.locator('.log-scroll').press('PageUp');
  await page.mouse.move(box.x + 300, box.y + 80, { steps: 3 });
  await page.mouse.move(5, 5);
  await more(10);
  await page.getByText('▼ 10 new', { exact: true }).waitFor();
  assert.match((await page.locator('.pill-why').textContent()) ?? '', /you scrolled/);
  await page.context().close();
});

test('odd lines: overwritten, coloured, cut in the middle of an escape, very long, and no text at all', async () => {
  const { page, errors } = await browser.page();
  const berta = world.host('berta');
  const id = await berta.start('build');
  await page.goto(`${world.url}/hosts/berta/runs/${id}`);
  berta.out('10 %\\r50 %\\r100 %');
  berta.out('\\x1b[1;38;5;196mred\\x1b[0m and \\x1b[38;2;10;20;30mnearly black\\x1b[0m');
  berta.out('no \\xff\\xfe text \\0 here');
  berta.raw('\\x1b[3');
  berta.out('2mgreen\\x1b[0m');
  berta.out('<b onclick="alert(1)">&amp;</b>');
  berta.long(1_000_000);
  berta.out('last');
  await seesLine(page.locator('sy-log'), 'last');
  const shown = await page.locator('.log-row').allTextContents();
  assert.equal(shown[0], '100 %');
  assert.equal(shown[1], 'red and nearly black');
  assert.equal(shown[2], 'no \ufffd\ufffd text ␀ here');
  assert.equal(shown[3], 'green');
  assert.equal(shown[4], '<b onclick="alert(1)">&amp;</b>');
  assert.equal(shown.filter((text) => text.startsWith('xxx')).length, Math.ceil(1_000_000 / 65_536));
  assert.match(shown[5] ?? '', /^x{4000}$/);
  assert.equal(await page.locator('.log-row[data-seq="5"] .more').getAttribute('aria-label'), 'Show 61,536 more characters');
  const colors = await page.locator('.log-row[data-seq="1"] span').evaluateAll((spans) => spans.map((span) => getComputedStyle(span).color));
  assert.equal(colors.length, 2);
  const light = colors.map((color) => Math.max(...(color.match(/\d+/g) ?? []).map(Number)));
  assert.ok(light.every((most) => most > 100), `what is nearly black is readable on black: ${colors}`);
  berta.exit(0);
  await berta.ended('ok');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('the keyboard alone: through the fleet, into a run, through its log and back', async () => {
  const { page } = await browser.page();
  await page.goto(world.url);
  await row(page, 'anna').waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
  /** @param {string} what @param {(text: string) => boolean} isThere */
  const tabTo = async (what, isThere) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      if (isThere(await focused())) {
        const outline = await page.evaluate(() => (document.activeElement ? getComputedStyle(document.activeElement).outlineStyle : 'none'));
        assert.notEqual(outline, 'none', `the focus is seen on ${what}`);
        return;
      }
    }
    throw new Error(`Tab does not lead to ${what}`);
  };
  await tabTo('the host', (text) => text === 'anna');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'anna' }).waitFor();
  await tabTo('the run', (text) => text.includes('Switch') && text.includes('running'));
  await page.keyboard.press('Enter');
  await page.locator(`.log-row[data-seq="${lines - 1}"]`).waitFor();
  for (const [key, shows] of /** @type {const} */ ([['g', '.log-row[data-seq="0"]'], ['?', 'dialog.help'], ['Escape', 'body:not(:has(dialog.help))'], ['/', 'sy-find input:focus']])) {
    await page.keyboard.press(key);
    await page.locator(shows).waitFor();
  }
  await page.keyboard.type('line 77');
  await page.keyboard.press('Enter');
  await page.locator('.log-row.current', { hasText: 'line 77' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('G');
  await page.locator(`.log-row[data-seq="${lines - 1}"]`).waitFor();
  await page.context().close();
});
