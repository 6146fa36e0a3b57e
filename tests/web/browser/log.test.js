import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, seesLine, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;
/** @type {string} a run that has ended, with all kinds of lines */
let run;

const HASH = 'a'.repeat(32);

before(async () => {
  browser = await launch();
  world = await World.start(['anna', 'berta']);
  run = await world.host('anna').start('switch');
  const anna = world.host('anna');
  anna.out(`building '/nix/store/${HASH}-nginx-1.29.drv'...`);
  anna.out(`building '/nix/store/${HASH}-toy-2.0.drv'...`);
  for (let i = 0; i < 4; i++) {
    anna.many(i * 2000 + 1, i * 2000 + 2000);
    anna.out(`nginx-1.29> checking for part ${i}`);
    anna.out(`toy-2.0> error: part ${i} is broken`);
  }
  anna.exit(1);
  await anna.ended('error');
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {import('playwright-core').BrowserContextOptions} [options] @param {string} [behind] of the address */
async function open(options, behind = '') {
  const { page, errors } = await browser.page(options);
  await page.goto(`${world.url}/hosts/anna/runs/${run}${behind}`);
  await page.locator('.log-row').first().waitFor();
  return { page, errors };
}

/** The text of the line one has stepped to. @param {import('playwright-core').Page} page @param {string} text */
async function isAt(page, text) {
  await page.locator('.log-row.current', { hasText: text }).waitFor();
}

test('search is by the dashboard over every line: counts are exact, steps go round, and the address holds it', async () => {
  const { page, errors } = await open();
  await page.keyboard.press('/');
  await page.keyboard.type('line 12');
  await page.getByText('111 matching lines').waitFor();
  await page.keyboard.press('Enter');
  await isAt(page, 'line 12');
  await page.getByText('1 of 111').waitFor();
  await page.locator('.log-scroll').focus();
  await page.keyboard.press('n');
  await page.getByText('2 of 111').waitFor();
  await isAt(page, 'line 120');
  await page.keyboard.press('N');
  await page.keyboard.press('N');
  await page.getByText('111 of 111').waitFor();
  await page.keyboard.press('n');
  await page.getByText('1 of 111').waitFor();
  assert.equal(new URL(page.url()).search, '?q=line%2012');
  await shot(page, 'run-search-dark');
  await page.reload();
  await page.getByText('1 of 111').waitFor();
  await seesLine(page.locator('sy-log'), 'line 12');
  await until('what is found is marked', () => page.evaluate(() => (CSS.highlights.get('found')?.size ?? 0) > 0));
  await page.locator('sy-map[aria-label*="111 matching lines; 4 errors"]').waitFor();

  await page.getByLabel('Regular expression').click();
  await page.getByLabel('Search the whole log').fill('LINE [78]0+$');
  await page.getByText('6 matching lines').waitFor();
  await page.getByLabel('Match case').click();
  await page.getByText('No matches').waitFor();
  await page.getByLabel('Search the whole log').fill('(');
  await page.getByText('Invalid regular expression: unclosed group').waitFor();
  await page.getByLabel('Search the whole log').press('Escape');
  await until('the address is plain again', () => new URL(page.url()).search === '');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('search goes on while the run does', async () => {
  const { page } = await browser.page();
  const berta = world.host('berta');
  const id = await berta.start('build');
  berta.many(1, 1000);
  await page.goto(`${world.url}/hosts/berta/runs/${id}?q=line`);
  await page.getByText('1 of 1,000').waitFor();
  berta.many(1001, 30_000);
  await page.getByText('1 of 30,000').waitFor();
  berta.err('error: late');
  await page.locator('.error-count', { hasText: /^1$/ }).waitFor();
  berta.exit(1);
  await berta.ended('error');
  await page.context().close();
});

test('errors are counted and stepped through, and #first-error leads to the first', async () => {
  const { page } = await open({}, '#first-error');
  await isAt(page, 'error: part 0 is broken');
  await page.locator('.error-count', { hasText: /^4$/ }).waitFor();
  await page.keyboard.press('e');
  await isAt(page, 'error: part 1 is broken');
  await page.keyboard.press('E');
  await page.keyboard.press('E');
  await isAt(page, 'error: part 3 is broken');
  await page.context().close();
});

test('a link to lines opens there, marks them, scrolls once and does not follow', async () => {
  const { page } = await open({}, '#L4001-L4003');
  await page.locator('.log-row.marked:not(.hole)').nth(2).waitFor();
  assert.deepEqual(await page.locator('.log-row.marked').evaluateAll((rows) => rows.map((r) => Number(/** @type {HTMLElement} */ (r).dataset['seq']) + 1)), [4001, 4002, 4003]);
  assert.equal(await page.getByText('Follow', { exact: true }).getAttribute('aria-pressed'), 'false');
  const box = await page.locator('.log-row.marked').first().boundingBox();
  const scroller = await page.locator('.log-scroll').boundingBox();
  assert.ok(box && scroller && box.y > scroller.y && box.y < scroller.y + scroller.height / 2, 'the line is in the upper half');

  // A number is a link; with Shift it extends.
  const at = async (/** @type {number} */ line) => {
    const rowBox = await page.locator(`.log-row[data-seq="${line - 1}"]`).boundingBox();
    assert.ok(rowBox && scroller);
    return { x: scroller.x + 30, y: rowBox.y + 10 };
  };
  const { x, y } = await at(4005);
  await page.mouse.click(x, y);
  await page.waitForURL('**#L4005');
  const to = await at(4009);
  await page.keyboard.down('Shift');
  await page.mouse.click(to.x, to.y);
  await page.keyboard.up('Shift');
  await page.waitForURL('**#L4005-L4009');
  await until('five lines are marked', async () => (await page.locator('.log-row.marked').count()) === 5);
  await page.evaluate(() => (location.hash = '#L100'));
  await page.locator('.log-row.marked[data-seq="99"]').waitFor();
  await page.goBack();
  await page.locator('.log-row.marked[data-seq="4004"]').waitFor();
  await page.context().close();
});

test('a link to a line holds while lines keep coming', async () => {
  const { page } = await browser.page();
  const berta = world.host('berta');
  const id = await berta.start('build');
  berta.many(1, 5000);
  await until('it has its lines', async () => (await berta.run()).lines === 5000);
  await page.goto(`${world.url}/hosts/berta/runs/${id}#L2000`);
  const marked = page.locator('.log-row.marked[data-seq="1999"]');
  await marked.waitFor();
  const before = await marked.boundingBox();
  berta.many(5001, 20_000);
  await page.getByText('▼ 15,000 new').waitFor();
  assert.deepEqual(await marked.boundingBox(), before);
  berta.exit(0);
  await berta.ended('ok');
  await page.context().close();
});

test('the map at the edge shows where errors are, in the colours of the theme, and leads there', async () => {
  const { page } = await open();
  await page.locator('sy-map[aria-label="Map of the log: 4 errors"]').waitFor();
  /** The colours in the map and the parts of its height where the errors are. */
  const look = () =>
    page.locator('sy-map canvas').evaluate((element) => {
      const canvas = /** @type {HTMLCanvasElement} */ (element);
      const { data } = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).getImageData(10, 0, 1, canvas.height);
      const rows = Array.from({ length: canvas.height }, (_, y) => [...data.slice(4 * y, 4 * y + 3)].join(' '));
      const [color] = rows.filter((row, y) => row !== '0 0 0' && y < canvas.height / 2);
      return { color, marks: rows.flatMap((row, y) => (row === color && rows[y - 1] !== color ? [y / canvas.height] : [])) };
    });
  const dark = await look();
  assert.equal(dark.color, '255 123 114');
  assert.deepEqual(dark.marks.map((part) => Math.round(part * 100)), [25, 50, 75, 100]);
  await page.emulateMedia({ colorScheme: 'light' });
  await until('it is drawn in the other theme', async () => (await look()).color === '179 29 40');
  const box = await page.locator('sy-map').boundingBox();
  assert.ok(box);
  await page.mouse.click(box.x + 5, box.y + box.height * (dark.marks[1] ?? 0));
  await page.locator('.log-row', { hasText: 'part 1 is broken' }).waitFor();
  await page.context().close();
});

test('a phase leads to its first line', async () => {
  const { page } = await browser.page();
  const berta = world.host('berta');
  const id = await berta.start('build');
  berta.err('evaluating derivation');
  berta.many(1, 800);
  await until('the lines of the evaluation are there', async () => (await berta.run()).lines === 801);
  berta.err("building '/nix/store/00000000000000000000000000000000-a.drv'...");
  // Between standard error and standard output there is no order.
  await until('the first line of the build is there', async () => (await berta.run()).lines === 802);
  berta.many(801, 1500);
  await until('all lines are there', async () => (await berta.run()).lines === 1502);
  await page.goto(`${world.url}/hosts/berta/runs/${id}`);
  const building = page.locator('.phases button', { hasText: 'Building' });
  await building.locator('.phase-time', { hasText: /\d:\d\d/ }).waitFor();
  await building.click();
  await page.locator('.log-row[data-seq="801"]', { hasText: "building '/nix/store/" }).waitFor();
  assert.equal(await page.getByText('Follow', { exact: true }).getAttribute('aria-pressed'), 'false');
  berta.exit(0);
  await berta.ended('ok');
  await page.context().close();
});

test('the output of one derivation is picked out, by its name in the log and from the list', async () => {
  const { page } = await open({}, '#L8000');
  await page.getByRole('button', { name: 'All output' }).click();
  await page.getByRole('menuitem', { name: 'nginx-1.29' }).click();
  await page.getByText('4 lines of nginx-1.29').waitFor();
  assert.deepEqual(await page.locator('.log-row').allTextContents(), [0, 1, 2, 3].map((i) => `nginx-1.29> checking for part ${i}`));
  assert.deepEqual(await page.locator('.log-row').evaluateAll((rows) => rows.map((r) => Number(/** @type {HTMLElement} */ (r).dataset['seq']))), [2002, 4004, 6006, 8008]);
  await page.waitForURL('**?only=nginx-1.29*');
  await shot(page, 'run-derivation-dark');
  await page.keyboard.press('d');
  const line = page.locator('.log-row', { hasText: 'toy-2.0> error: part 3' });
  await page.keyboard.press('End');
  await line.waitFor();
  const box = await line.evaluate((element) => {
    const range = document.createRange();
    range.setStart(element.firstChild ?? element, 0);
    range.setEnd(element.firstChild ?? element, 3);
    const { x, y, width, height } = range.getBoundingClientRect();
    return { x: x + width / 2, y: y + height / 2 };
  });
  await page.mouse.click(box.x, box.y);
  await page.getByText('4 lines of toy-2.0').waitFor();
  await page.reload();
  await page.getByText('4 lines of toy-2.0').waitFor();
  await page.context().close();
});

test('a selection of 5,000 lines is copied from the model, whatever is on screen', async () => {
  const { page } = await open({ permissions: ['clipboard-read', 'clipboard-write'] }, '#L101');
  const scroller = page.locator('.log-scroll');
  const place = async (/** @type {number} */ seq) => {
    const box = await page.locator(`.log-row[data-seq="${seq}"]`).boundingBox();
    assert.ok(box);
    const text = await page.locator(`.log-row[data-seq="${seq}"]`).evaluate((element) => {
      const range = document.createRange();
      range.selectNodeContents(element);
      return range.getBoundingClientRect().x;
    });
    return { x: text + 1, y: box.y + 10 };
  };
  await page.locator('.log-row.marked:not(.hole)').waitFor();
  const from = await place(102);
  await page.mouse.click(from.x, from.y);
  await page.evaluate(() => (location.hash = '#L5103'));
  await page.locator('.log-row.marked[data-seq="5102"]:not(.hole)').waitFor();
  const to = await place(5102);
  await page.keyboard.down('Shift');
  await page.mouse.click(to.x, to.y);
  await page.keyboard.up('Shift');
  await page.keyboard.press('Control+c');
  await page.getByText('5,001 lines copied').waitFor();
  const copied = (await page.evaluate(() => navigator.clipboard.readText())).split('\n');
  const all = (await (await fetch(`${world.url}/api/hosts/anna/runs/${run}/lines?limit=10000`)).json()).lines.map((/** @type {{line: string}} */ l) => l.line);
  assert.deepEqual(copied, [...all.slice(102, 5102), '']);

  await scroller.focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Control+c');
  await page.getByText(`${new Intl.NumberFormat('en').format(all.length)} lines copied`).waitFor();
  assert.deepEqual((await page.evaluate(() => navigator.clipboard.readText())).split('\n'), all);
  await page.context().close();
});

test('a selection outlives the rows it was made on, and takes nothing away from another one', async () => {
  const { page } = await open({ permissions: ['clipboard-read', 'clipboard-write'] }, '#L301');
  await page.locator('.log-row.marked:not(.hole)').waitFor();
  const at = async (/** @type {number} */ seq) => {
    const box = await page.locator(`.log-row[data-seq="${seq}"]`).boundingBox();
    const scroller = await page.locator('.log-scroll').boundingBox();
    assert.ok(box && scroller);
    return { x: scroller.x + 160, y: box.y + 10 };
  };
  const [from, to] = [await at(302), await at(305)];
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(to.x, to.y, { steps: 5 });
  await page.mouse.up();
  const before = await page.evaluate(() => document.getSelection()?.toString());
  assert.match(before ?? '', /^\S* ?301\s+line 302\s+line 303\s+l/);
  for (let i = 0; i < 10; i++) await page.keyboard.press('PageDown');
  await page.locator('.log-row[data-seq="600"]').waitFor();
  await page.keyboard.press('Control+c');
  await page.getByText('4 lines copied').waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^\S* ?301\nline 302\nline 303\nl\S*/);
  for (let i = 0; i < 10; i++) await page.keyboard.press('PageUp');
  await page.locator('.log-row[data-seq="303"]').waitFor();
  await until('it is shown again', async () => (await page.evaluate(() => document.getSelection()?.toString())) === before);

  await page.locator('sy-cause summary strong').first().selectText();
  await page.locator('.log-scroll').press('PageDown');
  await page.locator('.log-row[data-seq="340"]').waitFor();
  assert.match((await page.evaluate(() => document.getSelection()?.toString())) ?? '', /ended with exit code 1/);
  await page.context().close();
});

test('wrap and times are in the address, help lists the keys, and Escape ends one thing at a time', async () => {
  const { page } = await open();
  await page.keyboard.press('w');
  await page.keyboard.press('t');
  await page.keyboard.press('t');
  await page.waitForURL('**?wrap&times=elapsed');
  await page.reload();
  await page.locator('sy-log.wrapped').waitFor();
  await page.getByText('Time: since start').waitFor();
  await page.keyboard.press('?');
  await page.getByRole('heading', { name: 'Keys' }).waitFor();
  await shot(page, 'help-dark');
  await page.keyboard.press('Escape');
  await page.getByRole('heading', { name: 'Keys' }).waitFor({ state: 'detached' });
  await page.context().close();
});
