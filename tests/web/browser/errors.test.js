import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { command, launch, PHONE, row, seesLine, shot } from './support/browser.js';
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

/** @param {import('playwright-core').Page} page @param {string} [password] */
async function signIn(page, password = 'correct horse') {
  await page.getByLabel('User').fill('ada');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

test('without hosts the page says how to get one, in three lines of NixOS configuration', async () => {
  const world = await World.start([]);
  try {
    const { page, errors } = await browser.page();
    await page.goto(world.url);
    await page.getByText('No hosts yet').waitFor();
    await page.getByText(`services.switchyard.agent.settings.dashboard = "ws://127.0.0.1:${world.port}";`).waitFor();
    await shot(page, 'empty-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await shot(page, 'empty-light');
    assert.deepEqual(errors, []);
  } finally {
    await world.end();
  }
});

test('at an address without TLS no password is asked for: the page says what is wrong and where to go', async (t) => {
  if (process.env['SWITCHYARD_WEB']) return t.skip('the page comes from a folder, which has no such address');
  const world = await World.start([], { users: 'correct horse', more: 'public_url = "http://fleet.example"\n' });
  const other = await launch('--host-resolver-rules=MAP fleet.example 127.0.0.1');
  try {
    for (const options of [{}, PHONE, { viewport: { width: 320, height: 256 } }]) {
      const { page } = await other.page(options);
      await page.goto(`http://fleet.example:${world.port}/`);
      const dialog = page.locator('dialog.login');
      await dialog.getByText(`You cannot sign in at http://fleet.example:${world.port}`).waitFor();
      assert.equal(await dialog.locator('input, button').count(), 0);
      assert.equal(await dialog.getByRole('link', { name: 'https://fleet.example' }).getAttribute('href'), 'https://fleet.example/');
      await dialog.getByText(`ssh -N -L 8000:localhost:${world.port} fleet.example`).waitFor();
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
      await shot(page, `login-without-tls-${page.viewportSize()?.width}`);
      await page.context().close();
    }
    // What sends a password there all the same is refused before it is looked at.
    const { page } = await other.page();
    await page.goto(`http://fleet.example:${world.port}/`);
    const answer = await page.evaluate(async () => {
      const sent = await fetch('/api/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"user":"ada","password":"correct horse"}' });
      return { status: sent.status, ...(await sent.json()) };
    });
    assert.equal(answer.status, 403);
    assert.match(answer.detail, /open the page with https:/);
    await page.goto(`${world.url}/`);
    await signIn(page);
    await page.locator('dialog.login').waitFor({ state: 'detached' });
  } finally {
    await other.close();
    await world.end();
  }
});

test('a sign-in that the browser does not keep is said, and the page does not pretend', async () => {
  const world = await World.start([], { users: 'correct horse' });
  try {
    const { page } = await browser.page();
    // As a browser does that blocks cookies.
    await page.route('**/api/login', async (route) => {
      const answer = await route.fetch();
      assert.equal(answer.status(), 204);
      await page.context().clearCookies();
      await route.fulfill({ status: 204 });
    });
    await page.goto(`${world.url}/`);
    await signIn(page);
    await page.getByText('The password is right, but the browser did not keep the sign-in cookie.').waitFor();
    assert.equal(await page.getByLabel('Password').isVisible(), true);
    await shot(page, 'login-not-kept-dark');
    await page.unroute('**/api/login');
    await signIn(page);
    await page.locator('dialog.login').waitFor({ state: 'detached' });
  } finally {
    await world.end();
  }
});

test('a wrong password is explained, the right one leads in, and signing out leads out again', async () => {
  const world = await World.start(['anna'], { users: 'correct horse' });
  try {
    const { page } = await browser.page();
    await page.goto(`${world.url}/hosts/anna`);
    for (let slip = 0; slip < 3; slip += 1) {
      await page.getByLabel('Password').press('Escape');
      assert.equal(await page.getByLabel('Password').isVisible(), true, 'there is nothing to see without signing in');
    }
    await signIn(page, 'wrong');
    await page.getByText('Wrong user name, password or code.').waitFor();
    await shot(page, 'login-dark');
    await signIn(page);
    await page.getByRole('heading', { name: 'anna' }).waitFor();
    await page.getByText('connected', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Password').waitFor();
    await until('the session is over', async () => (await page.request.get(`${world.url}/api/hosts`)).status() === 401);
  } finally {
    await world.end();
  }
});

test('a session that ends is begun again over the place one is at, which stays as it was', async () => {
  const world = await World.start(['anna'], { users: 'correct horse' });
  try {
    const { page } = await browser.page();
    await page.goto(world.url);
    await signIn(page);
    const anna = row(page, 'anna');
    await command(anna, 'switch');
    world.host('anna').many(1, 5000);
    await seesLine(anna, 'line 5000');
    await anna.getByText('Open run →').click();
    await page.evaluate(() => (location.hash = '#L2000'));
    const marked = page.locator('.log-row.marked[data-seq="1999"]');
    await marked.waitFor();
    const before = await marked.boundingBox();
    await page.evaluate(() => Object.assign(window, { sameDocument: true }));

    // Signed out in another window.
    await page.request.post(`${world.url}/api/logout`, { headers: { Origin: world.url, 'Content-Type': 'application/json' }, data: {} });
    await page.getByText('Your session has ended').waitFor();
    assert.equal(await page.locator('.log-row.marked').count(), 1, 'the place is still behind it');
    await shot(page, 'session-ended-dark');
    world.host('anna').many(5001, 6000);
    await signIn(page);
    await page.getByText('▼ 1,000 new').waitFor();
    assert.deepEqual(await marked.boundingBox(), before);
    assert.equal(await page.evaluate(() => 'sameDocument' in window), true);
  } finally {
    await world.end();
  }
});

test('the buttons of a viewer are disabled from the start, and say why', async () => {
  const world = await World.start(['anna', 'berta'], { users: 'correct horse', role: 'viewer' });
  try {
    const { page } = await browser.page();
    await page.goto(world.url);
    await signIn(page);
    for (const name of ['anna', 'berta']) {
      const button = row(page, name).locator('button[data-command="deploy"]');
      await until(`the button of ${name} is disabled`, () => button.isDisabled());
      assert.equal(await button.getAttribute('title'), 'Viewers cannot start runs. Ask for the operator role.');
      assert.equal(await row(page, name).locator('sy-menu > button').isDisabled(), true);
    }
    await page.locator('sy-bulk').getByText('Viewers cannot start runs. Ask for the operator role.').waitFor();
  } finally {
    await world.end();
  }
});

test('a run that retention has removed says so', async () => {
  const world = await World.start(['anna'], { more: '[retention]\nmax_bytes = 1\n' });
  try {
    const { page } = await browser.page();
    const run = await world.host('anna').start('switch');
    world.host('anna').many(1, 100);
    world.host('anna').exit(0);
    await world.host('anna').ended('ok');
    // The newest of a host stays.
    await world.host('anna').start('switch');
    world.host('anna').exit(0);
    await world.host('anna').ended('ok');
    await world.stopDashboard();
    await world.startDashboard();
    await until('it is removed', async () => (await fetch(`${world.url}/api/hosts/anna/runs/${run}`)).status === 404);
    await page.goto(`${world.url}/hosts/anna/runs/${run}`);
    await page.getByText(`${run} of anna was removed by retention`).waitFor();
    await page.getByText('All runs of anna').click();
    await page.getByRole('heading', { name: 'anna' }).waitFor();
  } finally {
    await world.end();
  }
});
