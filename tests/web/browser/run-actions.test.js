/** What a person does from the page of a run that is over: run it again, go to the runs beside it, print it. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE, shot } from './support/browser.js';
import { until } from './support/process.js';
import { deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna', 'berta'] });
  await agent('anna').connect();
  await agent('berta').connect();
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

/** A run of a host from its beginning to its end. @param {string} host @param {object} command @param {string} status @param {string[]} [lines] */
async function ran(host, command, status, lines = []) {
  const asked = await fetch(`${world.url}/api/hosts/${host}/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: JSON.stringify(command) });
  const { run_id } = await asked.json();
  await until(`${host} has the command`, () => agent(host).command?.run_id === run_id);
  await agent(host).begin();
  for (let at = 0; at < lines.length; at += 500) agent(host).output(at, lines.slice(at, at + 500));
  agent(host).end(status, { lines: lines.length });
  await until('it is over', async () => (await (await fetch(`${world.url}/api/hosts/${host}/runs/${run_id}`)).json()).status === status);
  return String(run_id);
}

test('from a run lead buttons and keys to the older and the newer one of its host, and not beyond the ends', async () => {
  const runs = [await ran('anna', { command: 'pull' }, 'ok'), await ran('anna', { command: 'switch' }, 'error', ['it is broken']), await ran('anna', { command: 'build' }, 'ok')];
  const { page, errors } = await browser.page();
  const at = (/** @type {number} */ i) => page.waitForURL(`${world.url}/hosts/anna/runs/${runs[i]}`);
  await page.goto(`${world.url}/hosts/anna/runs/${runs[1]}`);
  const [older, newer] = [page.getByRole('link', { name: 'Older' }), page.getByRole('link', { name: 'Newer' })];
  await page.locator('sy-run-actions a[href]').nth(1).waitFor();
  await older.click();
  await at(0);
  await page.getByRole('heading', { name: 'Pull on anna' }).waitFor();
  await page.locator('sy-run-actions a[title="This is the oldest run"]').waitFor();
  await page.keyboard.press('o');
  await page.locator('.toast', { hasText: 'This is the oldest run of anna' }).waitFor();
  await page.locator('sy-run-actions a[href]').waitFor();
  await page.keyboard.press('O');
  await at(1);
  await page.locator('sy-run-actions a[href]').nth(1).waitFor();
  await newer.click();
  await at(2);
  await page.locator('sy-run-actions a[title="This is the newest run"]').waitFor();
  // A run that begins while this one is looked at is the newer one.
  runs.push(await ran('anna', { command: 'switch' }, 'ok'));
  await page.locator('sy-run-actions a[href]').nth(1).waitFor();
  await page.keyboard.press('O');
  await at(3);
  await page.keyboard.press('?');
  await page.locator('dialog.help', { hasText: 'the older, the newer run of this host' }).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a failed run is run again from its page, which goes on with the new run', async () => {
  const failed = await ran('berta', { command: 'switch' }, 'error', ['error: it is broken']);
  const { page, errors } = await browser.page();
  await page.goto(`${world.url}/hosts/berta/runs/${failed}`);
  const again = page.getByRole('button', { name: 'Run again: Switch on berta' });
  await again.waitFor();
  await shot(page, 'run-again-dark');
  await again.click();
  await page.waitForURL((url) => url.pathname.startsWith('/hosts/berta/runs/') && !url.pathname.endsWith(failed));
  const id = await until('the host has it', () => (agent('berta').command?.run_id === failed ? null : agent('berta').command?.run_id));
  assert.ok(page.url().endsWith(id));
  assert.equal(agent('berta').command?.command, 'switch');
  await agent('berta').begin();
  // While it goes on the failed one cannot be started again, and says why.
  await page.goto(`${world.url}/hosts/berta/runs/${failed}`);
  await page.locator('sy-run-actions button[disabled][title^="berta is busy"]').waitFor();
  agent('berta').end('ok');
  await page.locator('sy-run-actions button:not([disabled])').waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('what is run again is what was asked for: a deploy is one again, a rollback asks first wherever it stands, a viewer is told why not', async () => {
  const pull = makeRun('anna', { command: 'pull', then: 'switch', status: 'error', message: 'no route to the repository' });
  const rollback = makeRun('berta', { command: 'rollback', status: 'error' });
  const behind = makeRun('clara', { command: 'pull', then: 'rollback', status: 'error' });
  const play = { hosts: [makeHost('anna', { run: pull }), makeHost('berta', { run: rollback, deployment: deployed(rollback) }), makeHost('clara', { run: behind })] };
  const { page } = await browser.page();
  const stage = await Stage.set(page, play);
  await page.goto(`${world.url}/hosts/anna/runs/${pull.run_id}`);
  await page.getByRole('button', { name: 'Run again: Pull, then Switch on anna' }).click();
  await until('it was asked for', () => stage.asked.length === 1);
  assert.equal(stage.asked[0]?.body.command, 'pull');
  assert.equal(stage.asked[0]?.body.then, 'switch');
  await page.goto(`${world.url}/hosts/berta/runs/${rollback.run_id}`);
  await page.getByRole('button', { name: 'Run again: Rollback on berta' }).click();
  await page.locator('dialog.sheet').waitFor();
  assert.equal(stage.asked.length, 1, 'nothing before it is confirmed');
  await page.goto(`${world.url}/hosts/clara/runs/${behind.run_id}`);
  await page.getByRole('button', { name: 'Run again: Pull, then Rollback on clara' }).click();
  const sheet = page.locator('dialog.sheet');
  await sheet.getByText('generation 42 → previous').waitFor();
  assert.equal(stage.asked.length, 1, 'nor where the rollback comes second');
  await sheet.locator('button.primary').click();
  await until('it was asked for', () => stage.asked.length === 2);
  assert.deepEqual([stage.asked[1]?.body.command, stage.asked[1]?.body.then], ['pull', 'rollback']);
  await page.context().close();
  const { page: theirs } = await browser.page();
  await Stage.set(theirs, { ...play, role: 'viewer' });
  await theirs.goto(`${world.url}/hosts/anna/runs/${pull.run_id}`);
  await theirs.locator('sy-run-actions button[disabled][title="Viewers cannot start runs. Ask for the operator role."]').waitFor();
  await theirs.context().close();
});

test('a print holds the whole log, whatever is in view or folded, and nothing that acts', async () => {
  const lines = Array.from({ length: 3000 }, (_, i) => `printed line ${i + 1}`);
  lines[7] = '\x1b[31mred\x1b[0m <b>bold</b>';
  const run = await ran('anna', { command: 'switch' }, 'error', lines);
  const { page, errors } = await browser.page();
  const prints = await watchPrints(page);
  await page.goto(`${world.url}/hosts/anna/runs/${run}`);
  await page.locator('.log-row', { hasText: 'printed line 3000' }).waitFor();
  await page.keyboard.press('Control+p');
  const { text, notes } = await until('it is printed', prints);
  assert.deepEqual(text.split('\n').map((line) => line.replace(/^ *(\d+)  \d\d:\d\d:\d\d  /, '$1 ')), lines.map((line, i) => `${i + 1} ${i === 7 ? 'red <b>bold</b>' : line}`));
  assert.match(notes, /3,000 lines, the whole log\./);
  assert.doesNotMatch(notes, /missing/);
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.locator('sy-print pre').isVisible(), true);
  assert.equal(await page.locator('.run-facts').isVisible(), true);
  for (const selector of ['sy-top', '.log-toolbar', 'sy-log', 'sy-run-actions', '.run-phases']) assert.equal(await page.locator(selector).isVisible(), false, selector);
  await page.setViewportSize({ width: 800, height: 1100 });
  await shot(page, 'print');
  await page.emulateMedia({ media: 'screen' });
  assert.equal(await page.locator('sy-print').isVisible(), false);
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a print of more than 10,000 lines has the last ones, and says what is missing', async () => {
  const run = await ran('berta', { command: 'switch' }, 'ok', Array.from({ length: 12_345 }, (_, i) => `line ${i + 1}`));
  const { page } = await browser.page();
  const prints = await watchPrints(page);
  await page.goto(`${world.url}/hosts/berta/runs/${run}`);
  await page.locator('.log-row', { hasText: 'line 12345' }).waitFor();
  await page.getByRole('button', { name: 'Print' }).click();
  const { text, notes } = await until('it is printed', prints);
  const printed = text.split('\n');
  assert.equal(printed.length, 10_000);
  assert.match(printed[0] ?? '', /^ 2346 .* line 2346$/);
  assert.match(printed.at(-1) ?? '', /^12345 .* line 12345$/);
  assert.match(notes, /Lines 2,346 to 12,345 of 12,345\./);
  assert.match(notes, /2,345 lines are missing here: a print has at most the last 10,000 lines/);
  // The browser's own command does not wait for lines: it prints what is here, and says so.
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
  await page.locator('sy-print pre').waitFor({ state: 'detached' });
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  const own = await page.locator('sy-print').textContent();
  assert.match(own ?? '', /lines are missing here: they were not loaded\. Use Ctrl P or the Print button to print more/);
  assert.match(own ?? '', /line 12345$/);
  await page.context().close();
});

test('the actions of a run have room on a phone and at 400 % zoom', async () => {
  const run = (await (await fetch(`${world.url}/api/hosts/berta`)).json()).run.run_id;
  for (const [name, options] of /** @type {const} */ ([['phone', PHONE], ['zoomed', { viewport: { width: 320, height: 256 } }]])) {
    const { page } = await browser.page(options);
    await page.goto(`${world.url}/hosts/berta/runs/${run}`);
    await page.getByRole('button', { name: /^Run again/ }).waitFor();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, name);
    await shot(page, `run-actions-${name}-dark`);
    await page.context().close();
  }
});

/** Instead of printing, what would be printed is kept. @param {import('playwright-core').Page} page */
async function watchPrints(page) {
  await page.addInitScript(() => {
    window.print = () => {
      const print = document.querySelector('sy-print');
      Object.assign(window, { printed: { text: print?.querySelector('pre')?.textContent, notes: [...(print?.querySelectorAll('p:not([hidden])') ?? [])].map((p) => p.textContent).join(' ') } });
    };
  });
  return () => page.evaluate(() => /** @type {{text: string, notes: string} | undefined} */ (/** @type {any} */ (window).printed));
}
