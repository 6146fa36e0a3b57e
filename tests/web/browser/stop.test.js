/** A run that was asked to stop looks so to everybody, until it has ended or its host refused. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, row } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([], { wire: ['anna', 'bert'] });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/** Has a host run a switch, and lets it take its time to stop. @param {string} name */
async function running(name) {
  const agent = world.wire.get(name);
  assert.ok(agent);
  let asked = 0;
  agent.onStop = () => (asked += 1);
  await agent.connect();
  const headers = { 'Content-Type': 'application/json', Origin: world.url };
  await fetch(`${world.url}/api/hosts/${name}/command`, { method: 'POST', headers, body: '{"command":"switch"}' });
  const run = await agent.begin();
  return { agent, run, wasAsked: () => until(`${name} is to stop`, async () => asked > 0) };
}

test('a run that is stopping looks so after a reload, to others, and in the fleet', async () => {
  const { agent, run, wasAsked } = await running('anna');
  const { page, errors } = await browser.page();
  await page.goto(`${world.url}/hosts/anna/runs/${run}`);
  await page.getByRole('button', { name: 'Stop switch on anna' }).click();
  const stopping = page.getByRole('button', { name: /^Stopping… \d+ s$/ });
  await stopping.waitFor();
  await wasAsked();
  // Two seconds later it has been stopping for longer, and not from anew.
  await page.getByRole('button', { name: /^Stopping… ([2-9]|\d\d+) s$/ }).waitFor();
  await page.reload();
  await page.getByRole('button', { name: /^Stopping… ([2-9]|\d\d+) s$/ }).waitFor();
  assert.equal(await stopping.isDisabled(), true);
  const { page: other } = await browser.page();
  await other.goto(world.url);
  await row(other, 'anna').getByRole('button', { name: /^Stopping… \d+ s$/ }).waitFor();
  agent.end('stopped', { exit_code: null });
  await row(other, 'anna').getByRole('button', { name: 'Deploy anna' }).waitFor();
  await page.locator('.run-title').getByText('stopped').waitFor();
  await stopping.waitFor({ state: 'hidden' });
  assert.deepEqual(errors, []);
  await page.context().close();
  await other.context().close();
});

test('a run whose activation begins before it stops does not look as if it would', async () => {
  const { agent, run, wasAsked } = await running('bert');
  const { page } = await browser.page();
  await page.goto(`${world.url}/hosts/bert/runs/${run}`);
  await page.getByRole('button', { name: 'Stop switch on bert' }).click();
  await wasAsked();
  await page.getByRole('button', { name: /^Stopping… \d+ s$/ }).waitFor();
  await page.reload();
  await page.getByRole('button', { name: /^Stopping… \d+ s$/ }).waitFor();
  agent.progress('activation');
  await page.getByRole('button', { name: 'Stop switch on bert' }).waitFor();
  await page.context().close();
});
