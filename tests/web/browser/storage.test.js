import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { command, launch, readLog, row, seesLine, shot } from './support/browser.js';
import { until } from './support/process.js';
import { World } from './support/world.js';

/** A disk of its own and small, or null where none can be made. */
function smallDisk() {
  const dir = mkdtempSync(join(tmpdir(), 'switchyard-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', dir], { stdio: 'pipe' });
    return dir;
  } catch {
    rmSync(dir, { recursive: true });
    return null;
  }
}

test('a full disk of the dashboard is said on every place, and no more once there is room; no line is missing', async (t) => {
  const disk = smallDisk();
  if (!disk) return t.skip('SKIPPED: a small disk needs the right to mount one');
  const browser = await launch();
  const world = await World.start(['anna'], { data: disk });
  try {
    const { page, errors } = await browser.page({ viewport: { width: 1440, height: 2600 } });
    await page.goto(world.url);
    const anna = row(page, 'anna');
    await command(anna, 'switch');
    world.host('anna').many(1, 1000);
    await seesLine(anna, 'line 1000');
    const banner = page.locator('sy-storage');
    assert.equal(await banner.isVisible(), false);
    const before = await anna.boundingBox();

    const ballast = join(disk, 'ballast');
    const free = statfsSync(disk);
    try {
      writeFileSync(ballast, Buffer.alloc((free.bfree - 4) * free.bsize));
    } catch (error) {
      // The dashboard has written meanwhile, and the disk is full all the same.
      assert.equal(/** @type {NodeJS.ErrnoException} */ (error).code, 'ENOSPC');
    }
    world.host('anna').drip(1001, 3000);
    await banner.getByText(/The dashboard cannot store output: .*No space left/).waitFor();
    await banner.getByText('nothing is lost').waitFor();
    assert.deepEqual(await anna.boundingBox(), before, 'the rows stay where they are');
    await page.setViewportSize({ width: 1440, height: 900 });
    await shot(page, 'disk-full-dark');
    await page.setViewportSize({ width: 1440, height: 2600 });
    const { run_id } = await world.host('anna').run();
    for (const path of ['/hosts/anna', `/hosts/anna/runs/${run_id}`]) {
      await page.goto(world.url + path);
      await banner.getByText(/No space left/).waitFor();
    }
    await until('the dashboard says so in its log', () => /cannot store/.test(world.said));

    rmSync(ballast);
    await banner.waitFor({ state: 'hidden' });
    world.host('anna').exit(0);
    await page.getByText('Succeeded').waitFor();
    assert.match(world.said, /storing again/);
    const lines = Array.from({ length: 3000 }, (_, i) => `line ${i + 1}`);
    assert.deepEqual(await readLog(page), lines);
    const file = readFileSync(join(disk, 'logs', 'anna', `${run_id}.log`), 'utf8').split('\n');
    assert.deepEqual(file.filter((line) => line.startsWith('[')).map((line) => line.slice(11)), lines);
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await world.end();
    execFileSync('umount', [disk]);
    rmSync(disk, { recursive: true });
  }
});
