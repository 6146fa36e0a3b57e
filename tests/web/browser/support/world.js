/** A dashboard and hosts of a test's own. What a host prints is in the hands of the test. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endAllOf, Program, PROGRAM, until } from './process.js';
import { WireAgent, wireToken } from './wire.js';

/** Prints what is written into the pipe that it is given. */
const PUPPET = `while IFS= read -r order <&3; do
  case $order in
    "out "*) printf '%b\\n' "\${order#out }" ;;
    "err "*) printf '%b\\n' "\${order#err }" >&2 ;;
    "raw "*) printf '%b' "\${order#raw }" ;;
    "long "*) head -c "\${order#long }" /dev/zero | tr '\\0' x; echo ;;
    "many "*) seq -f 'line %.0f' \${order#many } ;;
    "drip "*) set -- "$1" \${order#drip }; i=$2; while [ "$i" -le "$3" ]; do seq -f 'line %.0f' "$i" "$((i+99))"; i=$((i+100)); sleep 0.02; done ;;
    "end "*) exit "\${order#end }" ;;
  esac
done 3<>"$1"
`;

const COMMANDS = ['pull', 'switch', 'test', 'update', 'boot', 'build', 'rollback'];

/**
 * `users` is the password of the user `ada`, `role` what she is if not an admin, `others` more users with that password and what they are, `more` of the configuration, `data` a folder for the dashboard's data, `environments` more of
 * the environment of some agents, `wire` the names of hosts whose agents are in the test itself.
 * @typedef {{users?: string, role?: string, others?: Record<string, string>, more?: string, data?: string, wire?: string[], environments?: Record<string, Record<string, string>>}} Options
 */

export class World {
  dir = mkdtempSync(join(tmpdir(), 'switchyard-web-'));
  port = 0;
  /** @type {Map<string, Host>} */
  hosts = new Map();
  /** @type {Map<string, WireAgent>} */
  wire = new Map();
  /** @type {Program | null} */
  #dashboard = null;

  /** @param {string[]} names of hosts @param {Options} [options] */
  static async start(names, options = {}) {
    const world = new World();
    world.port = await freePort();
    const data = options.data ?? join(world.dir, 'data');
    const agents = names.map((name) => token(name));
    const wire = (options.wire ?? []).map((name) => wireToken(name));
    writeFileSync(join(world.dir, 'agents'), [...agents, ...wire].map(({ line }) => `${line}\n`).join(''), { mode: 0o600 });
    let config = `listen = "127.0.0.1:${world.port}"\ndata_dir = "${data}"\nagents_file = "${world.dir}/agents"\n`;
    if (options.users) {
      const hashOf = () => execFileSync(PROGRAM, ['passwd'], { input: `${options.users}\n`, encoding: 'utf8' }).trim();
      const users = Object.entries({ ada: options.role ?? 'admin', ...options.others });
      writeFileSync(join(world.dir, 'users'), users.map(([name, role]) => `${name} ${role.replace(/^\w+/, `$& ${hashOf()}`)}\n`).join(''), { mode: 0o600 });
      config += `users_file = "${world.dir}/users"\n`;
    }
    writeFileSync(join(world.dir, 'dashboard.toml'), config + (options.more ?? ''));
    await world.startDashboard();
    for (const { name, secret } of agents) world.hosts.set(name, new Host(world, name, secret, options.environments?.[name]));
    for (const host of world.hosts.values()) await host.connected();
    for (const one of wire) world.wire.set(one.name, new WireAgent(world.port, one));
    return world;
  }

  /** What the dashboard said since it was last started. */
  get said() {
    return this.#dashboard?.said ?? '';
  }

  /** The file of a run's log. @param {string} host @param {string} run */
  logFile(host, run) {
    return join(this.dir, 'data', 'logs', host, `${run}.log`);
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async startDashboard() {
    this.#dashboard = new Program(['dashboard', '--config', join(this.dir, 'dashboard.toml')]);
    await this.#dashboard.says(/listening on (http:\/\/\S+)/);
  }

  /** @param {NodeJS.Signals} [signal] */
  async stopDashboard(signal) {
    await this.#dashboard?.end(signal);
    this.#dashboard = null;
  }

  /** @param {string} name @returns {Host} */
  host(name) {
    const host = this.hosts.get(name);
    if (!host) throw new Error(`no host ${name}`);
    return host;
  }

  async end() {
    for (const host of this.hosts.values()) await host.end();
    for (const agent of this.wire.values()) agent.close();
    await this.stopDashboard('SIGKILL');
    endAllOf(this.dir);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class Host {
  #world;
  #agent;
  #pipe;

  #environment;

  /** @param {World} world @param {string} name @param {string} secret @param {Record<string, string>} [environment] */
  constructor(world, name, secret, environment) {
    this.#world = world;
    this.#environment = environment;
    this.name = name;
    const dir = join(world.dir, name);
    mkdirSync(dir);
    const pipe = join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    this.#pipe = openSync(pipe, 'r+');
    writeFileSync(join(dir, 'puppet.sh'), PUPPET);
    writeFileSync(join(dir, 'token'), secret, { mode: 0o600 });
    const steps = JSON.stringify([['bash', join(dir, 'puppet.sh'), pipe]]);
    writeFileSync(
      join(dir, 'agent.toml'),
      `dashboard = "ws://127.0.0.1:${world.port}"
host_id = "${name}"
token_file = "${dir}/token"
state_dir = "${dir}/state"
heartbeat_interval = 1
supervisor = "process"
${COMMANDS.map((command) => `[commands.${command}]\nsteps = ${steps}\n`).join('')}`,
    );
    this.#agent = this.#start();
  }

  #start() {
    return new Program(['agent', '--config', join(this.#world.dir, this.name, 'agent.toml')], this.#environment);
  }

  /** The host is out of contact; what runs there goes on. */
  async disconnect() {
    await this.#agent.end('SIGKILL');
  }

  async reconnect() {
    this.#agent = this.#start();
    await this.connected();
  }

  async connected() {
    await this.#agent.says(/connected to /);
  }

  /** @param {string} line */
  out(line) {
    this.#order(`out ${line}`);
  }

  /** @param {string} line */
  err(line) {
    this.#order(`err ${line}`);
  }

  /** Prints as it stands, but for its escapes and without an end. @param {string} text */
  raw(text) {
    this.#order(`raw ${text}`);
  }

  /** Prints a line of so many letters. @param {number} letters */
  long(letters) {
    this.#order(`long ${letters}`);
  }

  /** Prints `line FROM` to `line TO`. @param {number} from @param {number} to */
  many(from, to) {
    this.#order(`many ${from} ${to}`);
  }

  /** Prints `line FROM` to `line TO` over some time, a hundred at once. @param {number} from @param {number} to */
  drip(from, to) {
    this.#order(`drip ${from} ${to}`);
  }

  /** @param {number} code */
  exit(code) {
    this.#order(`end ${code}`);
  }

  /** What nix says of its progress, as its JSON. @param {string} phase @param {number} done @param {number} expected */
  nix(phase, done, expected) {
    const type = phase === 'download' ? 103 : 104;
    if (done === 0) this.err(`@nix ${JSON.stringify({ action: 'start', id: type, level: 5, parent: 0, text: '', type })}`);
    this.err(`@nix ${JSON.stringify({ action: 'result', id: type, type: 105, fields: [done, expected, 1, 0] })}`);
  }

  /** @param {string} order */
  #order(order) {
    writeSync(this.#pipe, `${order}\n`);
  }

  /** Asks for a command, past the page. @param {string} command @returns {Promise<string>} the id of the run */
  async start(command) {
    const answer = await fetch(`${this.#world.url}/api/hosts/${this.name}/command`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Origin: this.#world.url },
      body: JSON.stringify({ command }),
    });
    if (answer.status !== 202) throw new Error(await answer.text());
    return (await answer.json()).run_id;
  }

  /** Whether the copy that the host keeps of its run has so many lines. @param {number} lines */
  hasPrinted(lines) {
    const runs = join(this.#world.dir, this.name, 'state', 'runs');
    return readdirSync(runs, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.log'))
      .some((file) => readFileSync(join(runs, file), 'utf8').split('\n').filter((line) => line.startsWith('[')).length >= lines);
  }

  /** The latest run as the dashboard has it. @returns {Promise<any>} */
  async run() {
    const answer = await fetch(`${this.#world.url}/api/hosts/${this.name}`);
    return (await answer.json()).run;
  }

  /** @param {string} status */
  async ended(status) {
    return until(`${this.name} is ${status}`, async () => {
      const run = await this.run();
      return run?.status === status ? run : null;
    });
  }

  async end() {
    await this.#agent.end('SIGKILL');
    closeSync(this.#pipe);
  }
}

/** @param {string} name */
function token(name) {
  const dir = mkdtempSync(join(tmpdir(), 'switchyard-token-'));
  const lines = join(dir, 'lines');
  const out = execFileSync('sh', ['-c', '"$0" token "$1" 2>"$2"', PROGRAM, name, lines], { encoding: 'utf8' });
  const line = execFileSync('cat', [lines], { encoding: 'utf8' }).trim();
  rmSync(dir, { recursive: true });
  return { name, secret: out.trim().split(/\s+/)[1] ?? '', line };
}

/** Ports of this process begin here: of two that run at a time each looks elsewhere first. */
let candidate = 21_000 + (process.pid % 5_500) * 2;

/**
 * A port of loopback on which nobody listens. The kernel gives it to nobody who asks for any, so that it is still free
 * while a dashboard is restarted.
 * @returns {Promise<number>}
 */
async function freePort() {
  for (;;) {
    const port = candidate++;
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
