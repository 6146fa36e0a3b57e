/** What the page weighs and how soon it is there, measured by the browser. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { launch } from './support/browser.js';
import { World } from './support/world.js';

test('the page is under 115 KB, comes compressed, is not sent twice, and shows its first row soon', async (t) => {
  if (process.env['SWITCHYARD_WEB']) return t.skip('the page comes from a folder and not from the program');
  const browser = await launch();
  const world = await World.start([], { wire: Array.from({ length: 50 }, (_, i) => `host${i}`) });
  const idle = (loadavg()[0] ?? 9) < 0.7;
  try {
    const { page, errors } = await browser.page();
    /** @type {{url: string, status: number, encoding: string | undefined, size: Promise<number>}[]} */
    const answers = [];
    page.on('response', (answer) => {
      if (answer.url().includes('/api/') || answer.url().endsWith('/health')) return;
      const size = answer.request().sizes().then(({ responseBodySize }) => responseBodySize);
      answers.push({ url: answer.url(), status: answer.status(), encoding: answer.headers()['content-encoding'], size });
    });
    await page.addInitScript(() => {
      const look = () => (document.querySelector('sy-host-row') ? requestAnimationFrame(() => Object.assign(window, { firstRow: performance.now() })) : requestAnimationFrame(look));
      look();
    });
    await page.goto(world.url);
    await page.waitForFunction(() => 'firstRow' in window);
    const sizes = await Promise.all(answers.map((answer) => answer.size));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    /** @type {number[]} */
    const firsts = [await page.evaluate(() => /** @type {any} */ (window).firstRow)];
    const sent = answers.length;
    assert.ok(total < 115_000, `${total} bytes`);
    assert.deepEqual(answers.filter(({ url, encoding }) => /app\.js$|log\.css$/.test(url) && encoding !== 'gzip'), []);
    for (let i = 0; i < 4; i++) {
      answers.length = 0;
      await page.reload();
      await page.waitForFunction(() => 'firstRow' in window);
      firsts.push(await page.evaluate(() => /** @type {any} */ (window).firstRow));
      assert.deepEqual(answers.filter(({ status }) => status !== 304 && status !== 200), []);
      const again = await Promise.all(answers.map((answer) => answer.size));
      assert.equal(again.reduce((sum, size) => sum + size, 0) < 2000, true, 'what is known is not sent again');
    }
    const best = Math.min(...firsts);
    t.diagnostic(`${(total / 1000).toFixed(1)} KB in ${sent} answers; first row after ${firsts.map(Math.round).join(', ')} ms, machine ${idle ? 'idle' : 'busy'}`);
    assert.ok(best < (idle ? 300 : 1500), `first row after ${best} ms`);
    assert.deepEqual(errors, []);

    const policy = (await page.request.get(world.url)).headers()['content-security-policy'] ?? '';
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
  } finally {
    await browser.close();
    await world.end();
  }
});

test('what is served is the source to the letter, but for comments', async () => {
  const web = fileURLToPath(new URL('../../../web/', import.meta.url));
  const world = await World.start([]);
  try {
    const code = (/** @type {string} */ source) => ts.transpileModule(source, { compilerOptions: { removeComments: true, target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext } }).outputText;
    const style = (/** @type {string} */ source) => source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\n\s*(?=\n)/g, '');
    const files = readdirSync(web, { recursive: true, encoding: 'utf8' }).filter((file) => /\.(js|css|svg|html)$/.test(file));
    assert.ok(files.length > 80);
    for (const file of files) {
      const source = readFileSync(web + file, 'utf8');
      const served = await (await fetch(`${world.url}/${file}`)).text();
      const plain = file.endsWith('.js') ? code : file.endsWith('.css') ? style : String;
      assert.equal(plain(served), plain(source), file);
      assert.equal(served.split('\n').length, source.split('\n').length, `${file}: a line has one number in both`);
    }
  } finally {
    await world.end();
  }
});
