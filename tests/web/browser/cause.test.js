/** A failed run opens at its cause, and everything that leads to errors leads there. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, PHONE, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna', 'berta', 'clara', 'dora', 'emil'] });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/**
 * A run of a host that prints these lines and fails.
 * @param {string} host @param {string[]} lines @param {object} end what it says at its end
 */
async function failed(host, lines, end) {
  const agent = world.wire.get(host);
  assert.ok(agent);
  await agent.connect();
  const asked = await fetch(`${world.url}/api/hosts/${host}/command`, { method: 'POST', headers: { 'Content-Type': 'application/json', Origin: world.url }, body: '{"command":"switch"}' });
  assert.equal(asked.status, 202);
  const run = await agent.begin();
  for (let at = 0; at < lines.length; at += 500) agent.output(at, lines.slice(at, at + 500));
  agent.end('error', { lines: lines.length, ...end });
  await until('it is over', async () => (await (await fetch(`${world.url}/api/hosts/${host}/runs/${run}`)).json()).status === 'error');
  return run;
}

const KERNEL = 'linux-6.12.30-modules';
/** Two derivations build at once; the telling line of one is number 1,109, and two lines look like errors and are none. */
const BUILD = [
  ...Array.from({ length: 1000 }, (_, i) => `copying path ${i}`),
  'error: this was survived',
  ...Array.from({ length: 120 }, (_, i) => (i % 2 ? `${KERNEL}>   CC [M]  drivers/net/part${i}.o` : `glibc-2.40> checking for part ${i}... yes`)),
];
BUILD[1108] = `${KERNEL}> make[3]: *** [scripts/Makefile.build:229: drivers/gpu/drm/i915/i915_drv.o] Error 1`;
BUILD.push(...Array.from({ length: 3000 }, (_, i) => `glibc-2.40> later ${i}`), 'error: 1 dependencies of derivation failed to build');

const CAUSE = [
  { kind: 'derivation', name: KERNEL, summary: `${KERNEL} failed to build (exit code 1)`, from: 1002, to: 1120, line: 1108 },
  { kind: 'unit', name: 'nginx.service', summary: 'nginx.service failed: bind() to 0.0.0.0:80 failed (98: Address already in use)', from: 2000, to: 2003, line: 2003 },
];

test('a failed run opens at its cause: a card with its own last lines and their numbers, and the log at its line', async () => {
  const run = await failed('anna', BUILD, { message: `${CAUSE[0]?.summary}\nand more`, cause: CAUSE });
  const { page, errors } = await browser.page({ permissions: ['clipboard-read', 'clipboard-write'] });
  await page.goto(`${world.url}/hosts/anna/runs/${run}`);
  const card = page.locator('sy-cause').first();
  await card.getByText(`${KERNEL} failed to build (exit code 1)`).waitFor();
  await card.locator('li').nth(7).waitFor();
  const quoted = await card.locator('li').evaluateAll((items) => items.map((li) => [li.querySelector('button')?.textContent, li.querySelector('code')?.textContent]));
  assert.equal(quoted.length, 8);
  assert.deepEqual(quoted[1], ['1109', 'make[3]: *** [scripts/Makefile.build:229: drivers/gpu/drm/i915/i915_drv.o] Error 1']);
  for (const [number, text] of quoted) assert.equal(BUILD[Number(number) - 1], `${KERNEL}> ${text}`);
  assert.equal(await card.locator('li.telling button').textContent(), '1109');
  // The log is there as well.
  await page.locator('.log-row.current.error[data-seq="1108"]').waitFor();
  assert.equal(await page.locator('.pill', { hasText: 'new' }).count(), 0);
  await shot(page, 'cause-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, 'cause-light');

  await page.locator('.log-scroll').press('Home');
  await page.locator('.log-row[data-seq="0"]').waitFor();
  await card.getByRole('button', { name: 'Go to line 1,109', exact: true }).last().click();
  await page.locator('.log-row.current[data-seq="1108"]').waitFor();
  await card.getByRole('button', { name: 'Copy' }).click();
  await page.getByText('Copied', { exact: true }).waitFor();
  const copied = (await page.evaluate(() => navigator.clipboard.readText())).split('\n');
  assert.deepEqual(copied, [CAUSE[0]?.summary, ...quoted.map(([, text]) => text)]);
  await card.getByRole('button', { name: 'All output of this derivation' }).click();
  await page.getByText(`60 lines of ${KERNEL}`).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('count, steps, map and #first-error are those of the causes, and not what lines look like', async () => {
  const run = (await (await fetch(`${world.url}/api/hosts/anna`)).json()).run.run_id;
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/anna/runs/${run}#first-error`);
  await page.locator('.log-row.current[data-seq="1108"]').waitFor();
  await page.locator('.error-count', { hasText: /^2$/ }).waitFor();
  await page.locator('sy-map[aria-label="Map of the log: 2 errors"]').waitFor();
  await page.keyboard.press('e');
  await page.locator('.log-row.current[data-seq="2003"]').waitFor();
  await page.keyboard.press('e');
  await page.locator('.log-row.current[data-seq="1108"]').waitFor();
  await page.keyboard.press('E');
  await page.locator('.log-row.current[data-seq="2003"]').waitFor();
  await page.evaluate(() => (location.hash = '#L1001'));
  await page.locator('.log-row.marked[data-seq="1000"]:not(.hole)').waitFor();
  assert.equal(await page.locator('.log-row.error[data-seq="1000"]').count(), 0, 'what was survived is no error');
  await page.context().close();
});

test('what a host says of itself after a failure leaves the reason where it is', async () => {
  const agent = world.wire.get('anna');
  assert.ok(agent);
  const { page, errors } = await browser.page();
  await page.goto(`${world.url}/hosts/anna`);
  const reason = page.locator('.host-text', { hasText: `${KERNEL} failed to build` });
  await reason.waitFor();
  for (const cpu of [11, 22]) {
    agent.send({ type: 'heartbeat', host_id: 'anna', generation: cpu, revision: 'c0ffee', metrics: { cpu, ram: 1, swap: 0, load: 0 } });
    await page.locator('.host-facts').getByText(new RegExp(`^${cpu}\\s*%$`)).waitFor();
    assert.equal(await reason.isVisible(), true);
  }
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a cause without lines says so and offers no way to them', async () => {
  const run = await failed('berta', ['one', 'two'], { exit_code: 137, message: 'out of memory while evaluating: 3.1 GiB, host has 4\nThe kernel ended nix.', cause: [{ kind: 'memory', name: null, summary: 'out of memory while evaluating: 3.1 GiB, host has 4', from: null, to: null, line: null }] });
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/berta/runs/${run}`);
  const card = page.locator('sy-cause');
  await card.getByText('out of memory while evaluating: 3.1 GiB, host has 4').waitFor();
  await card.getByText('The kernel ended nix.').waitFor();
  await card.getByText('This summary is not a line of the log.').waitFor();
  assert.equal(await page.getByRole('button', { name: /Show in log|Go to line/ }).count(), 0);
  // No green tick: that no line says why it failed does not make it good.
  const said = page.locator('.toast.error[role="alert"]', { hasText: 'The run failed, but no line of its log says why' });
  await page.locator('.log-row[data-seq="1"]').waitFor();
  await page.keyboard.press('e');
  await said.getByText('out of memory while evaluating: 3.1 GiB, host has 4').waitFor();
  await said.getByRole('button', { name: 'Close message' }).click();
  await page.goto(`${world.url}/hosts/berta/runs/${run}?x#first-error`);
  await said.waitFor();
  assert.equal(await page.locator('.toast.notice').count(), 0);
  await page.context().close();
});

test('a run that tells no cause leads to what its lines look like, or says that no line is it', async () => {
  const run = await failed('clara', ['fine', 'nginx.service: Failed with result \'exit-code\'.', '0 errors', 'end'], { message: 'it went wrong\nin two lines' });
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/clara/runs/${run}`);
  await page.locator('.error-count', { hasText: /^1$/ }).waitFor();
  await page.getByRole('button', { name: 'Show in log' }).click();
  await page.locator('.log-row.current[data-seq="1"]').waitFor();
  assert.equal(await page.locator('.toast').count(), 0);
  const other = await failed('dora', ['fine', '0 errors'], { message: 'its supervisor is gone' });
  await page.goto(`${world.url}/hosts/dora/runs/${other}`);
  await page.getByText('This summary is not a line of the log.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Show in log' }).count(), 0);
  await page.keyboard.press('E');
  await page.locator('.toast.error', { hasText: 'The run failed, but no line of its log says why' }).getByText('its supervisor is gone').waitFor();
  await page.route('**/search?*', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"not now"}' }));
  await page.goto(`${world.url}/hosts/dora/runs/${other}#first-error`);
  await page.reload();
  await page.locator('.toast.error', { hasText: 'Could not search the log for errors' }).getByText('not now').waitFor();
  assert.equal(await page.locator('.toast', { hasText: 'says why' }).count(), 0, 'nobody knows whether a line does');
  await page.context().close();
});

test('a log of plain nix -L, whose names have no versions, leads to the output of what failed, and folds it', async () => {
  const lines = [
    "building '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-linux-modules-6.12.drv'...", 'linux-modules> CC drivers/x.o', "linux-modules> drivers/x.c:9:2: error: unknown type name 'u9'",
    'other> fine', 'linux-modules> make[2]: *** [drivers/x.o] Error 1', "error: builder for '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-linux-modules-6.12.drv' failed with exit code 2",
  ];
  const summary = "linux-modules-6.12 failed to build (exit code 2): drivers/x.c:9:2: error: unknown type name 'u9'";
  const run = await failed('emil', lines, { exit_code: 1, message: summary, cause: [{ kind: 'derivation', name: 'linux-modules-6.12', summary, from: 1, to: 4, line: 2 }] });
  const { page, errors } = await browser.page();
  await page.goto(`${world.url}/hosts/emil/runs/${run}`);
  const card = page.locator('sy-cause');
  await card.locator('li').nth(2).waitFor();
  assert.deepEqual(await card.locator('li code').allTextContents(), ['CC drivers/x.o', "drivers/x.c:9:2: error: unknown type name 'u9'", 'make[2]: *** [drivers/x.o] Error 1']);
  await page.locator('.log-row.cause[data-seq="1"]').waitFor();
  assert.equal(await page.locator('.log-row.cause[data-seq="3"]').count(), 0);
  await page.locator('.log-row[data-seq="0"] .fold').click();
  await page.locator('.log-row.head[data-seq="1"] .fold[aria-label="Unfold linux-modules-6.12 · 3 lines"]').waitFor();
  await page.locator('.log-row[data-seq="3"]').waitFor();
  await page.locator('.log-row[data-seq="4"]').waitFor({ state: 'detached' });
  await card.getByRole('button', { name: 'All output of this derivation' }).click();
  await page.getByText('3 lines of linux-modules-6.12').waitFor();
  await until('its lines alone are shown', async () => (await page.locator('.log-row').evaluateAll((rows) => rows.map((one) => one.getAttribute('data-seq')).join())) === '1,2,4');
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('a card whose lines cannot be read says so, and asks again by itself', async () => {
  const run = (await (await fetch(`${world.url}/api/hosts/anna`)).json()).run.run_id;
  const { page } = await browser.page();
  let refused = 0;
  // Those of the log are asked for by the page of 1,000.
  await page.route(/\/lines\?from=\d+&limit=(?!1000$)/, (route) => (refused++ < 2 ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"not now"}' }) : route.continue()));
  await page.goto(`${world.url}/hosts/anna/runs/${run}`);
  await page.getByText('Could not load the lines of this failure').first().waitFor();
  await page.locator('sy-cause li').nth(7).waitFor();
  assert.ok(refused > 2);
  await page.context().close();
});

test('card and log have room on a phone and at 400 % zoom, and nothing is cut off', async () => {
  const run = (await (await fetch(`${world.url}/api/hosts/anna`)).json()).run.run_id;
  for (const [name, options] of /** @type {const} */ ([['phone', PHONE], ['zoomed', { viewport: { width: 320, height: 256 } }], ['1280', { viewport: { width: 1280, height: 800 } }]])) {
    const { page } = await browser.page(options);
    await page.goto(`${world.url}/hosts/anna/runs/${run}`);
    await page.locator('sy-cause li').nth(7).waitFor();
    await page.locator('.log-row.current').waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name}: ${wide} px too wide`);
    const height = (await page.locator('.log-scroll').boundingBox())?.height ?? 0;
    assert.ok(height >= (name === 'zoomed' ? 60 : 160), `${name}: the log is ${height} px high`);
    await shot(page, `cause-${name}-dark`);
    await page.context().close();
  }
});
