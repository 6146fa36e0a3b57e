/** Programs that a test starts, and ends again. */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export const PROGRAM = process.env['SWITCHYARD'] ?? 'switchyard';

/** Asks again and again, and fails with `what` after `timeout`. @template T @param {string} what @param {() => T | Promise<T>} ask @param {number} [timeout] @returns {Promise<NonNullable<T>>} */
export async function until(what, ask, timeout = 15_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`did not happen within ${timeout} ms: ${what}`);
    await pause(20);
  }
}

export class Program {
  said = '';
  #child;
  #ended;

  /** @param {string[]} args @param {Record<string, string>} [environment] more of it */
  constructor(args, environment = {}) {
    this.#child = spawn(PROGRAM, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...environment } });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => (this.said += text));
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  /** @param {RegExp} words */
  async says(words) {
    await until(`${words} in what it says: ${this.said}`, () => words.test(this.said) || this.#child.exitCode !== null);
    const found = this.said.match(words);
    if (!found) throw new Error(`it ended and said: ${this.said}`);
    return found;
  }

  /** @param {NodeJS.Signals} signal */
  async end(signal = 'SIGTERM') {
    this.#child.kill(signal);
    await this.#ended;
  }
}

/** Ends every process whose arguments name this folder. @param {string} dir */
export function endAllOf(dir) {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dir)) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
}
