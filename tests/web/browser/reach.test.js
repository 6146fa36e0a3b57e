/** What is marked is what is copied, what is found is seen, and a link shows what the other person saw. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;
/** @type {string} */
let run;

/** Numbered, with one line that has its match far to the right, and a very long one. */
const LINES = Array.from({ length: 25_000 }, (_, i) => `line ${i + 1}`);
LINES[7000] = `${'wide '.repeat(150)}treasure at the right`;
LINES[9000] = `${'long '.repeat(6000)}treasure beyond 4,000`;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna'] });
  const agent = world.wire.get('anna');
  assert.ok(agent);
  await agent.connect();
  const asked = await fetch(`${world.url}/api/hosts/anna/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: '{"command":"build"}' });
  assert.equal(asked.status, 202);
  run = await agent.begin();
  for (let at = 0; at < LINES.length; at += 1000) agent.output(at, LINES.slice(at, at + 1000));
  agent.end('ok', { lines: LINES.length });
  await until('it is over', async () => (await (await fetch(`${world.url}/api/hosts/anna/runs/${run}`)).json()).status === 'ok');
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** @param {string} behind of the address */
async function open(behind = '') {
  const { page, errors } = await browser.page({ permissions: ['clipboard-read', 'clipboard-write'] });
  await page.goto(`${world.url}/hosts/anna/runs/${run}${behind}`);
  await page.locator('.log-row:not(.hole)').first().waitFor();
  return { page, errors };
}

/** @param {import('playwright-core').Page} page */
const clipboard = (page) => page.evaluate(() => navigator.clipboard.readText());

test('a drag that scrolls the log at its edge copies all of what it went over', async () => {
  const { page, errors } = await open('#L301');
  await page.locator('.log-row.marked:not(.hole)').waitFor();
  const from = await page.locator('.log-row[data-seq="302"]').boundingBox();
  const log = await page.locator('.log-scroll').boundingBox();
  assert.ok(from && log);
  await page.mouse.move(log.x + 150, from.y + 10);
  await page.mouse.down();
  await page.mouse.move(log.x + 200, from.y + 60, { steps: 3 });
  // Beyond the lower edge it scrolls for as long as the button is held, and back at the upper one.
  await page.mouse.move(log.x + 200, log.y + log.height + 8);
  // It may be past that line before anybody looks.
  const shown = () => page.evaluate(() => [...document.querySelectorAll('.log-row')].map((row) => Number(row.getAttribute('data-seq'))));
  await until('it went down', async () => Math.max(...(await shown())) >= 450);
  await page.mouse.move(log.x + 200, log.y + log.height / 2);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  await page.mouse.up();
  const last = Number(await page.evaluate(([x, y]) => document.elementFromPoint(x ?? 0, y ?? 0)?.closest('.log-row')?.getAttribute('data-seq'), [log.x + 200, log.y + log.height / 2]));
  assert.ok(last > 400, `it ends at ${last}`);
  await page.keyboard.press('Control+c');
  await page.getByText(`${last - 302 + 1} lines copied`).waitFor();
  const copied = (await clipboard(page)).split('\n');
  assert.equal(copied.length, last - 302 + 1);
  assert.deepEqual(copied.slice(1, -1), LINES.slice(303, last));
  assert.ok(LINES[302]?.endsWith(copied[0] ?? '?') && LINES[last]?.startsWith(copied.at(-1) ?? '?'));

  await page.mouse.move(log.x + 150, log.y + log.height / 2);
  await page.mouse.down();
  await page.mouse.move(log.x + 150, log.y - 20, { steps: 3 });
  await until('it went up', async () => Math.min(...(await shown())) <= 380);
  await page.mouse.up();
  await page.keyboard.press('Control+c');
  await until('upwards as well', async () => (await clipboard(page)).includes('line 400\nline 401\n'));
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('Ctrl F searches the whole log and Ctrl A selects it, wherever the focus is', async () => {
  const { page } = await open();
  await page.getByRole('button', { name: 'Wrap' }).focus();
  await page.keyboard.press('Control+f');
  await page.getByLabel('Search the whole log').waitFor();
  await page.keyboard.type('line 24999');
  await page.getByText('1 matching line', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('h1').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Control+c');
  await page.getByText('25,000 lines copied').waitFor();
  assert.deepEqual((await clipboard(page)).split('\n'), LINES);
  // In a text field the keys are the field's.
  await page.keyboard.press('Control+f');
  await page.keyboard.type('abc');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('x');
  assert.equal(await page.getByLabel('Search the whole log').inputValue(), 'x');
  await page.context().close();
});

test('rows that are drawn anew after Ctrl A do not take the caret out of the search', async () => {
  const { page } = await open();
  await page.locator('.log-scroll').focus();
  await page.keyboard.press('Control+a');
  await page.evaluate(() => {
    const panel = /** @type {import('../../../web/view/log-panel.js').LogPanel} */ (document.querySelector('sy-log-panel'));
    panel.openSearch();
    panel.view.selection.place();
  });
  await page.keyboard.type('abc');
  assert.equal(await page.getByLabel('Search the whole log').inputValue(), 'abc');
  await page.context().close();
});

test('a link with a search opens at its first match or at the one the other person was at, and nothing of it is new', async () => {
  const { page } = await open('?q=line%20123');
  await page.locator('.log-row.current[data-seq="122"]').waitFor();
  await page.getByText('1 of 111').waitFor();
  assert.equal(await page.locator('.pill', { hasText: 'new' }).count(), 0);
  await page.locator('.log-scroll').focus();
  await page.keyboard.press('n');
  await page.keyboard.press('n');
  await page.locator('.log-row.current[data-seq="1230"]').waitFor();
  const link = new URL(page.url());
  assert.equal(link.search + link.hash, '?q=line%20123#L1231');
  await page.context().close();
  const { page: other } = await open(link.search + link.hash);
  await other.locator('.log-row.current[data-seq="1230"]').waitFor();
  await other.getByText('3 of 111').waitFor();
  assert.equal(await other.locator('.pill', { hasText: 'new' }).count(), 0);
  await other.context().close();
});

test('a match to the right is brought into view, and a long line opens for the match in it', async () => {
  const { page, errors } = await open('?q=treasure');
  /** Whether the first match of the line one is at lies within the log as it is seen. */
  const isSeen = () =>
    page.evaluate(() => {
      const row = document.querySelector('.log-row.current');
      const box = document.querySelector('.log-scroll')?.getBoundingClientRect();
      const walker = row && document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
      for (let node = walker?.nextNode(); node && box; node = walker?.nextNode()) {
        const at = node.nodeValue?.indexOf('treasure') ?? -1;
        if (at < 0) continue;
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 8);
        const match = range.getBoundingClientRect();
        return match.left > box.left + 80 && match.right < box.right && match.top >= box.top && match.bottom <= box.bottom;
      }
      return false;
    });
  await page.locator('.log-row.current[data-seq="7000"]').waitFor();
  await until('the match at the right is seen', isSeen);
  await page.locator('.log-scroll').focus();
  await page.keyboard.press('n');
  await page.locator('.log-row.current[data-seq="9000"]').waitFor();
  await until('the match beyond 4,000 characters is seen', isSeen);
  assert.equal(await page.locator('.log-row[data-seq="9000"]').textContent(), LINES[9000]);
  await shot(page, 'run-long-line-dark');
  await page.keyboard.press('w');
  await page.keyboard.press('N');
  await page.locator('.log-row.current[data-seq="7000"]').waitFor();
  await page.keyboard.press('n');
  await page.locator('.log-row.current[data-seq="9000"]').waitFor();
  await until('with wrapping on, too', isSeen);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a long line says how much more there is, and opens in place', async () => {
  const { page } = await open('#L9001');
  const line = page.locator('.log-row[data-seq="9000"]');
  await line.waitFor();
  const more = line.locator('button', { hasText: '' });
  assert.equal(await more.getAttribute('aria-label'), `Show ${new Intl.NumberFormat('en').format((LINES[9000]?.length ?? 0) - 4000)} more characters`);
  assert.equal(await line.textContent(), LINES[9000]?.slice(0, 4000));
  await more.focus();
  await page.keyboard.press('Enter');
  await until('all of it is there', async () => (await line.textContent()) === LINES[9000]);
  await page.context().close();
});
