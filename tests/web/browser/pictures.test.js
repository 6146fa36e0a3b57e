/** What failed as people see it, in every size of window: each is looked at as a picture, and nothing is cut off. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { bulkCommand, launch, row, shot } from './support/browser.js';
import { until } from './support/process.js';
import { ago, deployed, makeHost, makeRun, Stage } from './support/stage.js';
import { World } from './support/world.js';

/** @typedef {import('playwright-core').Page} Page */

/** A phone, a small laptop, a desk, and 1280 by 1024 at 400 %. */
const SIZES = [
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
  { width: 1440, height: 900 },
  { width: 320, height: 256 },
];
const STORE = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz';

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof launch>>} */
let browser;

before(async () => {
  browser = await launch();
  world = await World.start([]);
});

after(async () => {
  await browser?.close();
  await world?.end();
});

/**
 * Opens a place in each size, waits for what matters there and takes a picture. What matters is in view where the
 * window has room for it.
 * @param {string} name of the pictures @param {import('./support/stage.js').Play} play @param {string} path
 * @param {(page: Page) => Promise<import('playwright-core').Locator[]>} show gives what matters
 */
async function pictures(name, play, path, show) {
  const { page, errors } = await browser.page();
  await Stage.set(page, play);
  for (const size of SIZES) {
    await page.setViewportSize(size);
    await page.goto(world.url + path);
    const main = await show(page);
    await shot(page, `${name}-${size.width}`);
    const where = `${name} at ${size.width} px`;
    assert.ok((await page.evaluate(() => (document.scrollingElement?.scrollWidth ?? 0) - innerWidth)) <= 0, `${where}: nothing is wider than the window`);
    for (const one of main) {
      if (size.height < 400) await one.scrollIntoViewIfNeeded();
      const box = await one.boundingBox();
      assert.ok(box && box.width > 0 && box.height > 0, `${where}: ${one} is shown`);
      assert.ok(box.x >= 0 && box.x + box.width <= size.width + 1, `${where}: ${one} is within the window`);
      assert.ok(box.y >= 0 && box.y < size.height, `${where}: ${one} is in view, at ${box.y}`);
    }
  }
  assert.deepEqual(errors, []);
  await page.context().close();
}

/**
 * A failed run in every size: its card with the lines, and the line that says most, which is lit in the log.
 * @param {string} name @param {Partial<import('../../../web/model/types.js').Run>} run @param {string[]} lines
 */
async function failedRun(name, run, lines) {
  const failed = makeRun('web01', { status: 'error', exit_code: 1, lines: lines.length, errors: 1, generation_after: 41, message: run.cause?.[0]?.summary ?? null, ...run });
  const telling = run.cause?.[0]?.line ?? 0;
  await pictures(name, { hosts: [makeHost('web01', { run: failed, deployment: deployed(failed) })], lines }, `/hosts/web01/runs/${failed.run_id}`, async (page) => {
    const card = page.locator('sy-cause').first();
    const lit = card.locator('li.telling');
    await lit.waitFor();
    const line = page.locator(`.log-row.current[data-seq="${telling}"]`);
    await line.waitFor();
    assert.equal(await line.textContent(), lines[telling]);
    // The card comes after the log, and takes its room from it: the line stays in view.
    await until('the line is in view', () => line.evaluate((row) => {
      const [box, { top, bottom }] = [row.getBoundingClientRect(), /** @type {Element} */ (row.closest('.log-scroll')).getBoundingClientRect()];
      return box.top >= top - 1 && box.top < bottom - 15;
    }));
    return [page.locator('.run-title h1'), card.locator('summary')];
  });
}

test('a failed build is seen as such in every window', () => {
  const lines = [
    'building the system configuration...',
    ...Array.from({ length: 60 }, (_, i) => `copying path '${STORE}-part-${i}' from 'https://cache.nixos.org'...`),
    `building '${STORE}-linux-6.12.30-modules.drv'...`,
    ...Array.from({ length: 40 }, (_, i) => (i % 2 ? `linux-6.12.30-modules>   CC [M]  drivers/gpu/drm/amd/display/dc/dcn32/part${i}.o` : `glibc-2.40> checking for part ${i}... yes`)),
    "linux-6.12.30-modules> drivers/gpu/drm/i915/i915_drv.c:9:2: error: unknown type name 'u9'",
    'linux-6.12.30-modules> make[3]: *** [scripts/Makefile.build:229: drivers/gpu/drm/i915/i915_drv.o] Error 1',
    `error: builder for '${STORE}-linux-6.12.30-modules.drv' failed with exit code 2`,
    `error: 1 dependencies of derivation '${STORE}-nixos-system-web01-26.05.drv' failed to build`,
  ];
  const summary = "linux-6.12.30-modules failed to build (exit code 2): drivers/gpu/drm/i915/i915_drv.c:9:2: error: unknown type name 'u9'";
  const phases = [{ phase: 'evaluation', seq: 0, started: ago(600) }, { phase: 'download', seq: 1, started: ago(590) }, { phase: 'building', seq: 61, started: ago(570) }];
  return failedRun('failed-build', { phases, cause: [{ kind: 'derivation', name: 'linux-6.12.30-modules', summary, from: 63, to: 103, line: 102 }] }, lines);
});

test('a failed unit is seen as such in every window', () => {
  const lines = [
    'building the system configuration...', 'activating the configuration...', 'setting up /etc...', 'restarting the following units: nginx.service', 'Job for nginx.service failed because the control process exited with error code.',
    'warning: the following units failed: nginx.service', '× nginx.service - Nginx Web Server', '     Loaded: loaded (/etc/systemd/system/nginx.service; enabled; preset: ignored)', '     Active: failed (Result: exit-code)',
    '    Process: 77 ExecStartPre=/nix/store/x-unit-script-nginx-pre-start/bin/nginx-pre-start (code=exited, status=1/FAILURE)', '', 'Nov 22 10:43:55 web01 systemd[1]: Starting Nginx Web Server...',
    'Nov 22 10:43:55 web01 nginx[77]: nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)', 'Nov 22 10:43:55 web01 systemd[1]: nginx.service: Control process exited, code=exited, status=1/FAILURE', 'Nov 22 10:43:55 web01 systemd[1]: Failed to start Nginx Web Server.',
    "Command '['systemd-run', '--collect', '--pipe', '/nix/store/x-nixos-system/bin/switch-to-configuration', 'switch']' returned non-zero exit status 4.",
  ];
  const summary = 'The system is switched, but these units failed: nginx.service (nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use))';
  const phases = [{ phase: 'evaluation', seq: 0, started: ago(600) }, { phase: 'activation', seq: 1, started: ago(590) }, { phase: 'switch', seq: 3, started: ago(580) }];
  return failedRun('failed-unit', { exit_code: 4, generation_after: 42, phases, cause: [{ kind: 'unit', name: 'nginx.service', summary, from: 6, to: 14, line: 12 }] }, lines);
});

test('failed assertions are seen as such in every window', () => {
  const lines = [
    'building the system configuration...', 'error:', "       … while calling the 'head' builtin", `         at ${STORE}-source/lib/attrsets.nix:1574:11:`, '         1573|         || pred here (elemAt values 1) (head values) then', '         1574|           head values', '             |           ^',
    '', '       error:', '       Failed assertions:', '       - The ‘fileSystems’ option does not specify your root file system.', "       - You must set the option ‘boot.loader.grub.devices’ or 'boot.loader.grub.mirroredBoots' to make the system bootable.",
    "Command 'nix --extra-experimental-features nix-command flakes build --print-out-paths /etc/nixos#nixosConfigurations.\"web01\".config.system.build.toplevel' returned non-zero exit status 1.",
  ];
  const summary = 'error: 2 failed assertions: The ‘fileSystems’ option does not specify your root file system. (and 1 more)';
  return failedRun('failed-assertion', { cause: [{ kind: 'evaluation', name: null, summary, from: 8, to: 11, line: 10 }] }, lines);
});

test('a pull that git refused is seen as such in every window', () => {
  const lines = [
    'fetching ssh://git@git.example.org/fleet/config.git, branch main', '@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@', '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @', '@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@',
    'The fingerprint for the ED25519 key sent by the remote host is', 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.', 'Offending ED25519 key in /var/lib/switchyard-agent/.ssh/known_hosts:1', 'Host key verification failed.', 'fatal: Could not read from remote repository.',
  ];
  const summary = 'Host key verification failed: the key of git.example.org is another one than before';
  return failedRun('failed-git', { command: 'pull', run_id: '2026-01-01T10-00-00-pull', exit_code: 128, phases: [{ phase: 'pull', seq: 0, started: ago(600) }], cause: [{ kind: 'git', name: null, summary, from: 1, to: 8, line: 7 }] }, lines);
});

test('a fleet with a failed deployment behind a good pull is seen as such in every window', async () => {
  const summary = 'The system is switched, but these units failed: nginx.service (nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use))';
  const failed = makeRun('web01', { status: 'error', exit_code: 4, message: summary, cause: [{ kind: 'unit', name: 'nginx.service', summary, from: 0, to: 1, line: 1 }] });
  const switched = makeRun('db01');
  const pulled = (/** @type {string} */ host, /** @type {object} */ rest = {}) => makeRun(host, { command: 'pull', run_id: '2026-01-01T11-00-00-pull', completed: ago(120), ...rest });
  const play = {
    role: 'admin',
    hosts: [
      makeHost('web01', { deployment: deployed(failed), run: pulled('web01'), behind: 3 }),
      makeHost('db01', { deployment: deployed(switched), run: pulled('db01', { status: 'error', message: 'fatal: Could not resolve host: git.example.org' }) }),
      makeHost('build1', { run: makeRun('build1', { status: 'running', completed: null, duration_ms: null, started: ago(75), phase: 'building', done: 15, expected: 42 }) }),
      makeHost('nas', { online: false, last_seen: ago(7200), run: makeRun('nas') }),
      makeHost('well', { run: makeRun('well'), deployment: deployed(makeRun('well')) }),
    ],
    runs: [failed, switched],
  };
  await pictures('fleet-failed', play, '/', async (page) => {
    const web = row(page, 'web01');
    await web.locator('sy-state[data-state="failed"]').waitFor();
    const reason = web.locator('.row-text', { hasText: 'these units failed: nginx.service' });
    await reason.waitFor();
    return [web.locator('.host-name'), web.locator('sy-state'), reason];
  });
});

test('what is asked before several hosts is seen whole in every window', async () => {
  const hosts = [
    ...Array.from({ length: 12 }, (_, i) => makeHost(`web${String(i + 1).padStart(2, '0')}`, { deployment: deployed(makeRun('web')), behind: i % 3 })),
    makeHost('away', { online: false }),
    makeHost('busy', { run: makeRun('busy', { status: 'running', completed: null, duration_ms: null }) }),
    makeHost('old-with-a-long-name-in-the-cellar', { reboot_required: true }),
  ];
  await pictures('sheet', { hosts }, '/', async (page) => {
    await row(page, 'web01').waitFor();
    // All of them are selected, where there is room for it; a phone has a box on each row.
    await page.getByLabel('Select all hosts that are shown').check();
    await bulkCommand(page, 'switch');
    const sheet = page.locator('dialog.sheet');
    await sheet.locator('li').nth(14).waitFor({ state: 'attached' });
    return [sheet.locator('h2'), sheet.locator('li').first(), sheet.getByRole('button', { name: 'Cancel' }), sheet.getByRole('button', { name: 'Switch 14 hosts' })];
  });
});
