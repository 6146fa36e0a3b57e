/** The four systems of a host in words: which one runs, was booted, is the profile's, and starts at the next boot. */

import { isBusy } from './status.js';

/** @typedef {import('./types.js').Host} Host */

/** What a reboot changes, as a person calls it. @type {Record<string, string>} */
const PARTS = { kernel: 'kernel', 'kernel-modules': 'kernel modules', 'kernel-params': 'kernel parameters', initrd: 'initrd', systemd: 'systemd', firmware: 'firmware' };

/** The generation that runs; null where the running system is none, or nothing is known. @param {Host} host */
export function runningGeneration({ running, profile, generation, running_generation }) {
  if (running_generation != null) return running_generation;
  return !running || !profile || running === profile ? (generation ?? null) : null;
}

/** The number of a system, where it is that of the profile or the one that runs. @param {Host} host @param {string | null | undefined} system */
function numberOf(host, system) {
  if (!system) return null;
  return system === host.running ? runningGeneration(host) : system === host.profile ? (host.generation ?? null) : null;
}

/** What the boot loader starts; where it was not read, the profile's system. @param {Host} host */
function nextSystem({ boot_default, profile }) {
  return boot_default ?? profile ?? null;
}

/** @param {number | null} number */
function named(number) {
  return number === null ? 'Another system' : `Generation ${number}`;
}

/** `generation 13`, where the next boot starts another system than the one that runs. @param {Host} host @returns {string | null} */
export function nextBootText(host) {
  const next = nextSystem(host);
  return next && host.running && next !== host.running ? named(numberOf(host, next)).toLowerCase() : null;
}

/** Which system was booted; null where it is the one that runs. @param {Host} host @returns {string | null} */
export function bootedText(host) {
  const { booted, running } = host;
  return booted && running && booted !== running ? named(numberOf(host, booted)).toLowerCase() : null;
}

/** `Generation 13 is set for the next boot; generation 12 is running`; empty where nothing differs. @param {Host} host */
export function systemsText(host) {
  const { running, profile, boot_default: bootDefault } = host;
  const [next, now] = [nextSystem(host), runningGeneration(host)];
  const parts = [];
  if (next && running && next !== running) {
    const runs = now === null ? 'the running system has no generation number' : `generation ${now} is running`;
    parts.push(`${named(numberOf(host, next))} is set for the next boot; ${runs}`);
  }
  // A run sets the profile first and the boot loader some seconds later.
  if (bootDefault && profile && bootDefault !== profile && !isBusy(host.run)) parts.push(`${named(numberOf(host, profile))} was installed last, but the boot loader does not start it. Run Switch or Boot again, or choose it in the boot loader.`);
  return parts.join('. ');
}

/** `needed: kernel, systemd` @param {Host} host @returns {string | null} */
export function rebootText({ reboot_required: required, reboot_reasons: reasons }) {
  if (required == null) return null;
  if (!required) return 'not needed';
  const parts = (reasons ?? []).map((name) => PARTS[name] ?? name.replaceAll('_', ' '));
  return `needed${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`;
}
