import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cable } from './support/cable.js';
import { command, launch, readLog, row, seesLine, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
});

after(async () => {
  await browser?.close();
});

test('the page survives a restart of the dashboard without a reload, and the log has every line once', async () => {
  const world = await World.start(['anna']);
  try {
    const { page, errors } = await browser.page({ viewport: { width: 1440, height: 2600 } });
    await page.goto(world.url);
    await page.evaluate(() => Object.assign(window, { sameDocument: true }));
    const anna = row(page, 'anna');
    await command(anna, 'switch');
    world.host('anna').many(1, 500);
    await seesLine(anna, 'line 500');
    await world.stopDashboard('SIGKILL');
    world.host('anna').many(501, 1500);
    await page.getByText('Lost connection to the dashboard').waitFor();
    await page.setViewportSize({ width: 1440, height: 900 });
    await shot(page, 'disconnected-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await shot(page, 'disconnected-light');
    await page.setViewportSize({ width: 1440, height: 2600 });
    await world.startDashboard();
    await seesLine(anna, 'line 1500');
    await page.getByText('Lost connection to the dashboard').waitFor({ state: 'hidden' });
    world.host('anna').many(1501, 2000);
    world.host('anna').exit(0);
    await anna.locator('sy-state[data-state="ok"]').waitFor();
    await seesLine(anna, 'line 2000');
    assert.equal(await page.evaluate(() => 'sameDocument' in window), true);
    await openRun(page);
    assert.deepEqual(await readLog(page), Array.from({ length: 2000 }, (_, i) => `line ${i + 1}`));
    assert.deepEqual(errors, []);
  } finally {
    await world.end();
  }
});

/** Remembers every gap that the log shows. @param {import('playwright-core').Page} page */
async function watchGaps(page) {
  await page.evaluate(() => {
    /** @type {string[]} */
    const gaps = [];
    Object.assign(window, { sameDocument: true, gaps });
    const look = () => document.querySelectorAll('.log-row.hole').forEach(({ textContent }) => textContent && gaps.push(textContent));
    new MutationObserver(look).observe(document.querySelector('.log-scroll') ?? document, { subtree: true, childList: true, characterData: true, attributes: true });
  });
}

/** From the row to the page of the run, where more of the log is in view. @param {import('playwright-core').Page} page */
async function openRun(page) {
  await page.getByText('Open run →').click();
  await page.waitForURL('**/runs/*');
  await page.locator('.log-row').first().waitFor();
}

/** The whole log as the dashboard has it. @param {World} world */
async function stored(world) {
  const { run_id } = await world.host('anna').run();
  const text = await (await fetch(`${world.url}/api/hosts/anna/logs/download?format=txt&run=${run_id}`)).text();
  return text.split('\n').filter((line) => line.startsWith('[')).map((line) => line.slice(11));
}

/** @param {number} n */
const numbered = (n) => Array.from({ length: n }, (_, i) => `line ${i + 1}`);

test('a dashboard killed in the middle of the output comes back, and each line is there once', async () => {
  const world = await World.start(['anna']);
  try {
    const { page, errors } = await browser.page({ viewport: { width: 1440, height: 2600 } });
    await page.goto(world.url);
    const anna = row(page, 'anna');
    await command(anna, 'switch');
    await anna.locator('.log-scroll').waitFor();
    await watchGaps(page);
    world.host('anna').drip(1, 15_000);
    await until('some lines are there', async () => Number(await anna.locator('.log-row').last().getAttribute('data-seq')) > 1500);
    await world.stopDashboard('SIGKILL');
    const had = Number(await anna.locator('.log-row').last().getAttribute('data-seq')) + 1;
    assert.ok(had < 15_000, `${had} lines were there already`);
    await page.getByText('Lost connection to the dashboard').waitFor();
    await world.startDashboard();
    world.host('anna').exit(0);
    await anna.locator('sy-state[data-state="ok"]').waitFor();
    await seesLine(anna, 'line 15000');
    await openRun(page);
    assert.deepEqual(await readLog(page), numbered(15_000));
    assert.deepEqual(await stored(world), numbered(15_000));
    assert.equal(await page.evaluate(() => 'sameDocument' in window), true);
    assert.deepEqual(errors, []);
  } finally {
    await world.end();
  }
});

test('a connection cut in the middle of the output shows a gap while there is one, and each line once', async () => {
  const world = await World.start(['anna']);
  const cable = await Cable.plug(world.port);
  try {
    const { page, errors } = await browser.page({ viewport: { width: 1440, height: 2600 } });
    await page.goto(cable.url);
    const anna = row(page, 'anna');
    await command(anna, 'switch');
    await anna.locator('.log-scroll').waitFor();
    await watchGaps(page);
    world.host('anna').drip(1, 15_000);
    await until('some lines are there', async () => Number(await anna.locator('.log-row').last().getAttribute('data-seq')) > 1500);
    await cable.cut();
    const had = Number(await anna.locator('.log-row').last().getAttribute('data-seq')) + 1;
    assert.ok(had < 15_000, `${had} lines were there already`);
    world.host('anna').many(15_001, 100_000);
    await until('all is stored meanwhile', async () => (await world.host('anna').run()).lines === 100_000);
    assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).gaps), [], 'no gap is shown where none is known');
    await cable.mend();
    await seesLine(anna, 'line 100000');
    const gaps = await page.evaluate(() => /** @type {any} */ (window).gaps);
    assert.match(gaps[0] ?? 'no gap', /^… [\d,]+ lines?, loading$/);
    world.host('anna').exit(0);
    await anna.locator('sy-state[data-state="ok"]').waitFor();
    await openRun(page);
    const shown = await readLog(page, had - 1000, had + 4000);
    assert.deepEqual(shown, numbered(had + 4000).slice(had - 1000));
    assert.equal(await page.locator('.log-row.hole').count(), 0);
    assert.deepEqual(await stored(world), numbered(100_000));
    assert.equal(await page.evaluate(() => 'sameDocument' in window), true);
    assert.deepEqual(errors, []);
  } finally {
    await cable.cut();
    await world.end();
  }
});
