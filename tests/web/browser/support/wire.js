/** Agents that speak the wire themselves: hundreds of them in one process, saying what a test wants. */

import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { until } from './process.js';

/** @param {string} name */
export function wireToken(name) {
  const secret = randomBytes(32).toString('hex');
  return { name, secret, line: `${name} ${createHash('sha256').update(secret).digest('hex')}` };
}

export class WireAgent {
  /** The command it was sent last. @type {{run_id: string, command: string, nonce: string} | null} */
  command = null;
  /** How the dashboard closed the connection. @type {number | null} */
  closeCode = null;
  /** What it does when it is told to stop. @type {() => void} */
  onStop = () => this.end('stopped', { exit_code: null });
  /** @type {import('node:stream').Duplex | null} */
  #socket = null;
  #read = Buffer.alloc(0);
  #registered = false;
  /** Given for an enrolment secret. @type {string | undefined} */
  token;
  #port;

  /** @param {number} port @param {{name: string, secret: string}} token */
  constructor(port, { name, secret }) {
    this.#port = port;
    this.name = name;
    this.secret = secret;
  }

  /** @param {object} [facts] */
  async connect(facts = {}) {
    const asked = request({
      port: this.#port,
      host: '127.0.0.1',
      path: '/ws/agent',
      headers: { Authorization: `Bearer ${this.secret}`, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': randomBytes(16).toString('base64') },
    });
    asked.end();
    this.#socket = await new Promise((resolve, reject) => {
      asked.on('upgrade', (_answer, socket) => resolve(socket));
      asked.on('response', (answer) => reject(new Error(`${this.name}: ${answer.statusCode}`)));
      asked.on('error', reject);
    });
    this.#socket?.on('data', (data) => this.#received(data)).on('error', () => {});
    const commands = ['pull', 'switch', 'test', 'update', 'boot', 'build', 'rollback'];
    this.send({ type: 'register', protocol: 1, host_id: this.name, time: new Date().toISOString(), hostname: this.name, heartbeat_interval: 5, commands, runs: [], ...facts });
    await until(`${this.name} is registered`, () => this.#registered);
    return this;
  }

  close() {
    this.#socket?.destroy();
  }

  /** Takes the command that it was sent, and says that it runs. */
  async begin() {
    const { run_id, command, nonce } = await until(`${this.name} has a command`, () => this.command);
    this.send({ type: 'status', host_id: this.name, run_id, command, nonce, status: 'running', lines: 0, started: new Date().toISOString() });
    return run_id;
  }

  /** @param {number} seq @param {string[]} lines */
  output(seq, lines) {
    const { run_id, command } = this.command ?? { run_id: '', command: '' };
    const timestamp = new Date().toISOString();
    this.send({ type: 'output', host_id: this.name, run_id, command, seq, lines: lines.map((line) => ({ line, timestamp, is_error: false })) });
  }

  /** @param {string} phase */
  progress(phase) {
    const { run_id } = this.command ?? { run_id: '' };
    this.send({ type: 'progress', host_id: this.name, run_id, phases: [{ phase, seq: 0, started: new Date().toISOString() }], done: null, expected: null, running: null, failed: null, tests: null });
  }

  /** @param {string} status @param {object} [rest] */
  end(status, rest = {}) {
    const { run_id, command } = this.command ?? { run_id: '', command: '' };
    const now = new Date().toISOString();
    this.send({ type: 'status', host_id: this.name, run_id, command, status, exit_code: status === 'ok' ? 0 : 1, lines: 0, started: now, completed: now, duration_ms: 1000, ...rest });
  }

  /** @param {object} message */
  send(message) {
    this.#frame(1, Buffer.from(JSON.stringify(message)));
  }

  /** @param {number} kind @param {Buffer} payload */
  #frame(kind, payload) {
    const size = payload.length < 126 ? [0x80 | payload.length] : payload.length < 65536 ? [0xfe, payload.length >> 8, payload.length & 255] : [0xff, 0, 0, 0, 0, payload.length >>> 24, (payload.length >> 16) & 255, (payload.length >> 8) & 255, payload.length & 255];
    // A mask of zeros is a mask, too.
    this.#socket?.write(Buffer.concat([Buffer.from([0x80 | kind, ...size, 0, 0, 0, 0]), payload]));
  }

  /** @param {Buffer} data */
  #received(data) {
    this.#read = Buffer.concat([this.#read, data]);
    for (;;) {
      let [size, at] = [(this.#read[1] ?? 0) & 127, 2];
      if (this.#read.length < 10 && this.#read.length < at + size) return;
      if (size === 126) [size, at] = [this.#read.readUInt16BE(2), 4];
      else if (size === 127) [size, at] = [Number(this.#read.readBigUInt64BE(2)), 10];
      if (this.#read.length < at + size) return;
      const kind = (this.#read[0] ?? 0) & 15;
      const payload = this.#read.subarray(at, at + size);
      this.#read = this.#read.subarray(at + size);
      if (kind === 8) this.closeCode = payload.readUInt16BE(0);
      if (kind === 9) this.#frame(10, payload);
      if (kind === 1) for (const message of [JSON.parse(payload.toString())].flat()) this.#take(message);
      if (this.#read.length < 2) return;
    }
  }

  /** @param {any} message */
  #take(message) {
    if (message.type === 'registered') this.#registered = true;
    if (message.type === 'enrolled') this.token = message.token;
    if (message.type === 'command') this.command = message;
    if (message.type === 'stop') this.onStop();
  }
}
