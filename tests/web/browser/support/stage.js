/** A page whose fleet a test makes up: what the dashboard would say comes from the test, the page from the program. */

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('../../../../web/model/types.js').Host} Host */
/** @typedef {import('../../../../web/model/types.js').Run} Run */

/**
 * `runs` are known besides those of the hosts, `lines` stand in every log, or so `many` that are made when they are
 * asked for, `role` is of who looks.
 * @typedef {{hosts: Host[], runs?: Run[], lines?: string[], many?: number, role?: string, answer?: (path: string, method: string, body: any) => {status: number, json: unknown} | null}} Play
 */

/** Of a run that is made up. */
const USUAL_LINES = 1204;
const TIME = new Date().toISOString();

export class Stage {
  /** Requests that change something. @type {{path: string, body: any}[]} */
  asked = [];
  /** @type {import('playwright-core').WebSocketRoute | null} */
  #socket = null;
  #play;

  /** @param {Play} play */
  constructor(play) {
    this.#play = play;
    // A run that says nothing of its own has the lines that its log has.
    for (const run of [...(play.runs ?? []), ...play.hosts.map((host) => host.run)]) if (run?.lines === USUAL_LINES && this.#total > 0) run.lines = this.#total;
  }

  /** Before the page is opened. @param {Page} page @param {Play} play */
  static async set(page, play) {
    const stage = new Stage(play);
    await page.routeWebSocket('**/ws/browser?*', (socket) => stage.#connected(socket));
    await page.route('**/api/**', (route) => stage.#request(route));
    return stage;
  }

  /** @param {object} message */
  send(message) {
    this.#socket?.send(JSON.stringify(message));
  }

  /** @param {import('playwright-core').WebSocketRoute} socket */
  #connected(socket) {
    this.#socket = socket;
    socket.send(JSON.stringify({ type: 'hosts', hosts: this.#play.hosts, more: false }));
    socket.onMessage((text) => {
      const { type, sub, host_id, run_id, from } = JSON.parse(String(text));
      if (type !== 'subscribe') return;
      const total = this.#total;
      const first = from < 0 ? Math.max(0, total + from) : from;
      socket.send(JSON.stringify([
        { type: 'subscribed', sub, host_id, run_id, from: first, total },
        { type: 'command_output', sub, host_id, run_id, seq: first, lines: this.#lines(first, total) },
      ]));
    });
  }

  get #total() {
    return this.#play.many ?? this.#play.lines?.length ?? 0;
  }

  /** @param {number} from @param {number} to exclusive */
  #lines(from, to) {
    const { many, lines = [] } = this.#play;
    const line = (/** @type {number} */ seq) => (many === undefined ? lines[seq] : `line ${seq + 1}`);
    return Array.from({ length: Math.max(0, Math.min(to, this.#total) - from) }, (_, i) => ({ line: line(from + i), timestamp: TIME, is_error: true }));
  }

  /** @param {import('playwright-core').Route} route */
  async #request(route) {
    const request = route.request();
    const { pathname, searchParams } = new URL(request.url());
    const method = request.method();
    const body = method === 'GET' ? null : request.postDataJSON();
    if (body) this.asked.push({ path: pathname, body });
    const { status, json } = this.#play.answer?.(pathname, method, body) ?? this.#answer(pathname, body, searchParams);
    await route.fulfill({ status, json });
  }

  /** @param {string} path @param {any} body @param {URLSearchParams} query @returns {{status: number, json: unknown}} */
  #answer(path, body, query) {
    const { hosts, runs = [], role = 'operator' } = this.#play;
    if (path === '/api/me') return { status: 200, json: { name: 'ada', role, via: 'session', hosts: '*', expires: null } };
    if (path === '/api/tokens') return { status: 200, json: { tokens: hosts.map(token), uses_since: TIME } };
    if (path === '/api/sessions') return { status: 200, json: { sessions: [{ id: 's', user: 'ada', created: TIME, seen: TIME, address: '2001:db8:85a3:8d3:1319:8a2e:370:7348', current: true }] } };
    if (path === '/api/audit') return { status: 200, json: { records: hosts.map(record), next: null } };
    if (path === '/api/commands') return { status: 207, json: { results: body.hosts.map((/** @type {string} */ host_id) => ({ host_id, status: 202, run_id: `2026-01-02T10-00-00-${body.command}`, detail: null })) } };
    const [, id, what, run_id, more] = path.match(/^\/api\/hosts\/([^/]+)(?:\/([^/]+)(?:\/([^/]+)(?:\/([^/]+))?)?)?$/) ?? [];
    const all = [...runs, ...hosts.flatMap(({ run }) => run ?? [])].filter(({ host_id }) => host_id === decodeURIComponent(id ?? ''));
    if (what === 'command') return { status: 202, json: { run_id: `2026-01-02T10-00-00-${body.command}`, host_id: id, command: body.command, status: 'queued' } };
    if (more === 'lines') {
      const first = Number(query.get('from') ?? 0);
      return { status: 200, json: { first, total: this.#total, lines: this.#lines(first, first + Number(query.get('limit') ?? 1000)).map((line, i) => ({ seq: first + i, ...line })) } };
    }
    if (more === 'search') return { status: 200, json: { total: 0, matches: [] } };
    const run = all.find((one) => one.run_id === run_id);
    if (run) return { status: 200, json: run };
    if (what === 'runs' && !run_id) return { status: 200, json: { runs: all } };
    return { status: 404, json: { title: 'Not found', status: 404, detail: `nothing at ${path}` } };
  }
}

/** @param {Host} host */
function token({ id }) {
  return { id, kind: 'agent', host_id: id, expires: null, in_file: false, created: TIME, created_by: 'ada', revoked: null, revoked_by: null, connected: true, last_used: TIME };
}

/** @param {Host} host */
function record({ id }) {
  return { time: TIME, user: 'ada', role: 'admin', via: 'session', address: '192.0.2.7', action: 'command', host_id: id, run_id: '2026-01-01T10-00-00-switch', command: 'switch', result: 'refused', detail: `${id} is busy: build is running` };
}

/** @param {string} host_id @param {Partial<Run>} [rest] @returns {Run} */
export function makeRun(host_id, rest = {}) {
  const command = rest.command ?? 'switch';
  return {
    run_id: `2026-01-01T10-00-00-${command}`, host_id, command, status: 'ok', requested_by: 'ada',
    started: ago(600), completed: ago(540), duration_ms: 60_000, exit_code: 0, lines: USUAL_LINES, errors: 800, message: null, cause: [],
    phases: [{ phase: 'evaluation', seq: 0, started: ago(600) }], generation_before: 41, generation_after: 42, ...rest,
  };
}

/** @param {string} id @param {Partial<Host>} [rest] @returns {Host} */
export function makeHost(id, rest = {}) {
  return {
    id, online: true, last_seen: ago(1), clock_skew_ms: 0, hostname: id, agent_version: '0.1.0', os_version: '26.05', kernel: '6.12.30',
    generation: 42, system: `/nix/store/${'a'.repeat(32)}-nixos-system-${id}-26.05`, revision: 'd3adbeefd3adbeefd3adbeefd3adbeefd3adbeef', behind: 0,
    reboot_required: false, commands: ['pull', 'switch', 'test', 'update', 'boot', 'build', 'rollback'], metrics: { cpu: 3, ram: 20, swap: 0, load: 0.1 },
    deployment: null, run: null, ...rest,
  };
}

/** @param {Run} run @returns {import('../../../../web/model/types.js').Deployment} */
export function deployed(run) {
  return { run_id: run.run_id, command: run.command, status: run.status, completed: run.completed ?? null, generation: run.generation_after ?? null, revision: 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00', system: null };
}

/** @param {number} seconds */
export function ago(seconds) {
  return new Date(Date.now() - seconds * 1000).toISOString();
}
