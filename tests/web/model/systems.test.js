import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootedText, nextBootText, rebootText, runningGeneration, systemsText } from '../../../web/model/systems.js';

const [OLD, NOW, NEW] = ['/nix/store/a', '/nix/store/b', '/nix/store/c'];

/** @param {object} facts @returns {any} */
const host = (facts) => ({ id: 'web01', online: true, ...facts });

test('where all systems are one, or nothing is known of them, there is nothing to say', () => {
  for (const facts of [{}, { generation: 12 }, { generation: 12, running: NOW, booted: NOW, profile: NOW, boot_default: NOW, running_generation: 12 }]) {
    assert.deepEqual([systemsText(host(facts)), nextBootText(host(facts)), bootedText(host(facts))], ['', null, null]);
  }
  assert.equal(runningGeneration(host({ generation: 12 })), 12);
});

test('what the next boot starts, and what runs until then', () => {
  const boot = host({ generation: 13, running: NOW, booted: OLD, profile: NEW, running_generation: 12 });
  assert.equal(systemsText(boot), 'Generation 13 is set for the next boot; generation 12 is running');
  assert.equal(nextBootText(boot), 'generation 13');
  assert.equal(bootedText(boot), 'another system');
  assert.equal(runningGeneration(boot), 12);
  const tested = host({ generation: 12, running: NEW, booted: NOW, profile: NOW, boot_default: NOW, running_generation: null });
  assert.equal(systemsText(tested), 'Generation 12 is set for the next boot; the running system has no generation number');
  assert.equal(bootedText(tested), 'generation 12');
  assert.equal(runningGeneration(tested), null);
});

test('a boot loader that does not start the newest generation is told', () => {
  const missing = host({ generation: 13, running: NEW, booted: NOW, profile: NEW, boot_default: NOW, running_generation: 13 });
  assert.equal(systemsText(missing), 'Another system is set for the next boot; generation 13 is running. Generation 13 was installed last, but the boot loader does not start it. Run Switch or Boot again, or choose it in the boot loader.');
  const installing = { ...missing, run: { status: 'running' } };
  assert.equal(systemsText(installing), 'Another system is set for the next boot; generation 13 is running');
  assert.equal(systemsText({ ...missing, run: { status: 'ok' } }), systemsText(missing));
});

test('why a reboot is needed is said in words, and an unknown reason as it came', () => {
  assert.equal(rebootText(host({ reboot_required: true, reboot_reasons: ['kernel', 'kernel-params', 'odd'] })), 'needed: kernel, kernel parameters, odd');
  assert.equal(rebootText(host({ reboot_required: true })), 'needed');
  assert.equal(rebootText(host({ reboot_required: false, reboot_reasons: [] })), 'not needed');
  assert.equal(rebootText(host({})), null);
});
