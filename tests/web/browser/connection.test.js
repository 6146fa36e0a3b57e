import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, readLog, row, seesLine, shot } from './support/browser.js';
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
    const { page, errors } = await browser.page();
    await page.goto(world.url);
    await page.evaluate(() => Object.assign(window, { sameDocument: true }));
    const anna = row(page, 'anna');
    await anna.locator('button[data-command="switch"]').click();
    world.host('anna').many(1, 500);
    await seesLine(anna, 'line 500');
    await world.stopDashboard('SIGKILL');
    world.host('anna').many(501, 1500);
    await page.getByText('No connection to the dashboard').waitFor();
    await shot(page, 'disconnected-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await shot(page, 'disconnected-light');
    await world.startDashboard();
    await seesLine(anna, 'line 1500');
    await page.getByText('No connection to the dashboard').waitFor({ state: 'hidden' });
    world.host('anna').many(1501, 2000);
    world.host('anna').exit(0);
    await anna.locator('sy-state[data-state="ok"]').waitFor();
    await seesLine(anna, 'line 2000');
    assert.equal(await page.evaluate(() => 'sameDocument' in window), true);
    assert.deepEqual(await readLog(page), Array.from({ length: 2000 }, (_, i) => `line ${i + 1}`));
    assert.deepEqual(errors, []);
  } finally {
    await world.end();
  }
});

test('without hosts the page says how to get one', async () => {
  const world = await World.start([]);
  try {
    const { page, errors } = await browser.page();
    await page.goto(world.url);
    await page.getByText('No hosts yet').waitFor();
    await page.getByText(`dashboard = "ws://127.0.0.1:${world.port}"`).waitFor();
    await shot(page, 'empty-dark');
    assert.deepEqual(errors, []);
  } finally {
    await world.end();
  }
});

test('a wrong password is explained, the right one leads in, and signing out leads out again', async () => {
  const world = await World.start(['anna'], { users: 'correct horse' });
  try {
    const { page } = await browser.page();
    await page.goto(`${world.url}/hosts/anna`);
    await page.getByLabel('User').fill('ada');
    await page.getByLabel('Password').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('do not belong together').waitFor();
    await shot(page, 'login-dark');
    await page.getByLabel('Password').fill('correct horse');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'anna' }).waitFor();
    await page.getByText('connected', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Password').waitFor();
    await until('the session is over', async () => (await page.request.get(`${world.url}/api/hosts`)).status() === 401);
  } finally {
    await world.end();
  }
});
