import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PHONE, command, launch, row, seesLine, shot } from './support/browser.js';
import { Program } from './support/process.js';

/** @type {Program} */
let demo;
/** @type {string} */
let url;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  demo = new Program(['demo', '--hosts', '6', '--listen', '127.0.0.1:0']);
  url = (await demo.says(/listening on (http:\/\/\S+)/))[1] ?? '';
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

test('a fleet at work shows its phases and counts, in both themes and on a phone', async () => {
  const { page, errors } = await browser.page();
  await page.goto(url);
  await page.locator('sy-host-row').nth(5).waitFor();
  // The others fail at first, by themselves.
  const [first, second, third] = ['gateway', 'nas', 'media'];
  await command(row(page, first), 'pull');
  await command(row(page, second), 'switch');
  await command(row(page, third), 'build');
  await row(page, first).getByText('Hide log').click();
  await row(page, third).getByText('Hide log').click();
  await row(page, second).getByText(/🔨 Building \(\d+\/\d+\)/).waitFor({ timeout: 60_000 });
  await seesLine(row(page, second), 'building ');
  await shot(page, 'fleet-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'fleet-light');
  const phone = await browser.page(PHONE);
  await phone.page.goto(url);
  await row(phone.page, second).locator('sy-phase').waitFor();
  await shot(phone.page, 'phone-fleet-dark');
  await row(page, second).getByText('Open run →').click();
  await page.locator('.phases li').nth(1).waitFor();
  await seesLine(page.locator('sy-log'), 'building ');
  await shot(page, 'run-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await shot(page, 'run-dark');
  assert.deepEqual(errors, []);
});

test('a failure of the demo is on the fleet in one line, and its run opens at the cause', async () => {
  const { page, errors } = await browser.page();
  await page.goto(url);
  const build = row(page, 'build01');
  await build.locator('.row-text', { hasText: "implicit declaration of function 'tls_session_resume'" }).waitFor({ timeout: 90_000 });
  await row(page, 'office').locator('.row-text', { hasText: 'does not specify your root file system' }).waitFor();
  await build.locator('.host-name').click();
  await page.locator('.run-item').first().click();
  const card = page.locator('sy-cause').first();
  await card.locator('.telling', { hasText: 'tls_session_resume' }).waitFor();
  await card.getByRole('button', { name: /^Go to line/ }).first().waitFor();
  await shot(page, 'demo-failed-dark');
  assert.deepEqual(errors, []);
});
