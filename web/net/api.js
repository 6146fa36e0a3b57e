/** Requests to the dashboard. */

/** @typedef {import('../model/types.js').Run} Run */
/** @typedef {import('../model/types.js').Line} Line */
/** @typedef {import('../model/access.js').Token} Token */

/** An answer that is no success, in the words of the dashboard. */
export class ApiError extends Error {
  /** @param {number} status 0 when no answer came @param {string} title @param {string} detail */
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

/** How long a command waits for its host, in seconds. */
const EXPIRES_S = 3600;

/** A request waits so long for its turn, in seconds; beyond that the user is told. */
const MAX_WAIT_S = 5;

/** @param {string} part */
const enc = encodeURIComponent;

export class Api {
  /** Called when a request needs a session and there is none. @type {() => void} */
  onUnauthorized = () => {};
  /** Called when this user may not do what they asked for. @type {() => void} */
  onForbidden = () => {};
  /** Called with the dashboard's time of each answer, as its `Date` has it. @type {(time: string) => void} */
  onTime = () => {};
  /** Called when the dashboard could not do what it was asked. @type {() => void} */
  onUnavailable = () => {};
  #fetch;

  /** @param {typeof fetch} fetchFunction */
  constructor(fetchFunction = (...args) => fetch(...args)) {
    this.#fetch = fetchFunction;
  }

  /** Why the dashboard cannot store, null while it can; and what is to be looked at. @returns {Promise<{fault: string | null, warnings: string[]}>} */
  async health() {
    try {
      const { warnings } = await this.#request('GET', '/health');
      return { fault: null, warnings: warnings ?? [] };
    } catch (error) {
      if (error instanceof ApiError && error.status === 503) return { fault: error.message, warnings: [] };
      throw error;
    }
  }

  /** Who asks; refused without a session. @returns {Promise<import('../model/access.js').Me>} */
  me() {
    return this.#request('GET', '/api/me');
  }

  /** Whether the browser sends a session that is good. @returns {Promise<boolean>} */
  async hasSession() {
    const answer = await this.#fetch('/api/me', { headers: { Accept: 'application/json' }, credentials: 'same-origin' }).catch(() => null);
    return answer?.status !== 401;
  }

  /** @param {string} user @param {string} password @param {string} [code] of those who need one */
  async login(user, password, code) {
    await this.#request('POST', '/api/login', { user, password, ...(code && { code }) });
  }

  async logout() {
    await this.#request('POST', '/api/logout', {});
  }

  /** Ends every session of whoever asks. @returns {Promise<{ended: number}>} */
  logoutAll() {
    return this.#request('POST', '/api/logout/all', {});
  }

  /** @returns {Promise<{tokens: Token[], uses_since: string}>} */
  tokens() {
    return this.#request('GET', '/api/tokens');
  }

  /** The token is told this once. Who signed in gives their `password` again. @param {object} wish @returns {Promise<{id: string, token: string}>} */
  issueToken(wish) {
    return this.#request('POST', '/api/tokens', wish);
  }

  /** @param {string} id @returns {Promise<void>} */
  revokeToken(id) {
    return this.#request('DELETE', `/api/tokens/${enc(id)}`);
  }

  /** @returns {Promise<{sessions: import('../model/access.js').Session[]}>} */
  sessions() {
    return this.#request('GET', '/api/sessions');
  }

  /** @param {string} id @returns {Promise<void>} */
  endSession(id) {
    return this.#request('DELETE', `/api/sessions/${enc(id)}`);
  }

  /** @param {string} user @returns {Promise<{ended: number}>} */
  endSessions(user) {
    return this.#request('DELETE', `/api/sessions?user=${enc(user)}`);
  }

  /** Those of everybody. @param {string | undefined} password given again by who signed in @returns {Promise<{ended: number}>} */
  endAllSessions(password) {
    return this.#request('DELETE', '/api/sessions', password === undefined ? {} : { password });
  }

  /**
   * The newest first; `filter` as it stands in an address, `before` the `next` of the page before.
   * @param {string} filter @param {number} limit @param {number | null} before
   * @returns {Promise<{records: import('../model/audit.js').Audited[], next: number | null}>}
   */
  audit(filter, limit, before) {
    return this.#request('GET', `/api/audit?limit=${limit}${before === null ? '' : `&before=${before}`}${filter}`);
  }

  /**
   * @param {string} host @param {string} command @param {{force?: boolean, then?: string}} [more] `then` is started where it succeeds
   * @returns {Promise<{run_id: string, host_id: string, command: string, status: string}>}
   */
  command(host, command, more = {}) {
    return this.#request('POST', `/api/hosts/${enc(host)}/command`, more.force ? { command, ...more } : { command, expires: EXPIRES_S, ...more });
  }

  /**
   * @param {string[]} hosts @param {string} command @param {string} [then] started where it succeeds
   * @returns {Promise<{results: {host_id: string, status: number | string, run_id?: string | null, detail?: string | null}[]}>}
   */
  commands(hosts, command, then) {
    return this.#request('POST', '/api/commands', { hosts, command, expires: EXPIRES_S, ...(then && { then }) });
  }

  /** Which of two machines with one token is the host. @param {string} host @param {string} boot_id @param {string | null} [installation_id] @returns {Promise<void>} */
  chooseMachine(host, boot_id, installation_id = null) {
    return this.#request('POST', `/api/hosts/${enc(host)}/machine`, { boot_id, installation_id });
  }

  /** @param {string} host @param {number} limit @param {string} [before] @returns {Promise<{runs: Run[]}>} */
  runs(host, limit, before) {
    const more = before ? `&before=${enc(before)}` : '';
    return this.#request('GET', `/api/hosts/${enc(host)}/runs?limit=${limit}${more}`);
  }

  /** Those that came after a run, the oldest of them first. @param {string} host @param {number} limit @param {string} after @returns {Promise<{runs: Run[]}>} */
  newerRuns(host, limit, after) {
    return this.#request('GET', `/api/hosts/${enc(host)}/runs?limit=${limit}&after=${enc(after)}`);
  }

  /** @param {string} host @param {string} run @returns {Promise<Run>} */
  run(host, run) {
    return this.#request('GET', this.#runPath(host, run));
  }

  /**
   * @param {string} host @param {string} run @param {number} from @param {number} limit
   * @returns {Promise<{first: number, total: number, lines: (Line & {seq: number})[]}>}
   */
  lines(host, run, from, limit) {
    return this.#request('GET', `${this.#runPath(host, run)}/lines?from=${from}&limit=${limit}`);
  }

  /**
   * Which lines of a run match, escapes aside.
   * @param {string} host @param {string} run @param {import('../model/find.js').Query} query
   * @param {number} from a line @param {number} limit of `matches`; `total` counts them all
   * @returns {Promise<{total: number, matches: {seq: number, line: string}[]}>}
   */
  search(host, run, { text, regex, matchCase }, from, limit) {
    const query = `q=${enc(text)}&regex=${regex}&case=${matchCase}&from=${from}&limit=${limit}`;
    return this.#request('GET', `${this.#runPath(host, run)}/search?${query}`);
  }

  /** @param {string} host @param {string} run @param {'txt'|'json'} format */
  downloadUrl(host, run, format) {
    return `/api/hosts/${enc(host)}/logs/download?format=${format}&run=${enc(run)}`;
  }

  /** The log as text, for the clipboard. @param {string} host @param {string} run */
  async logText(host, run) {
    const answer = await this.#send('GET', this.downloadUrl(host, run, 'txt'));
    return answer.text();
  }

  /** @param {string} host @param {string} run */
  #runPath(host, run) {
    return `/api/hosts/${enc(host)}/runs/${enc(run)}`;
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} */
  async #request(method, path, body) {
    const answer = await this.#send(method, path, body);
    return answer.status === 204 ? null : answer.json();
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<Response>} */
  async #send(method, path, body) {
    /** @type {RequestInit} */
    const init = { method, headers: { Accept: 'application/json' }, credentials: 'same-origin' };
    if (body) {
      init.body = JSON.stringify(body);
      init.headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
    }
    // A wrong password is no sign of another role, nor of an ended session.
    const isPassword = body !== undefined && 'password' in body;
    let answer;
    for (let asked = 1; ; asked += 1) {
      try {
        answer = await this.#fetch(path, init);
      } catch {
        throw new ApiError(0, 'No connection', 'The dashboard did not answer. Check the network, then try again.');
      }
      this.onTime(answer.headers.get('Date') ?? '');
      // Nothing was done yet: it is asked again when it may be. Who guesses passwords is told instead.
      if (answer.status !== 429 || isPassword) break;
      const seconds = Number(answer.headers.get('Retry-After')) || 1;
      // Nobody expects a command to begin long after they asked for it.
      if (seconds > MAX_WAIT_S || (method !== 'GET' && asked > 1)) break;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
    if (answer.ok) return answer;
    if (answer.status === 401 && path !== '/api/login') this.onUnauthorized();
    if (answer.status === 403 && method !== 'GET' && !isPassword) this.onForbidden();
    if (answer.status === 503 && path !== '/health') this.onUnavailable();
    throw await problem(answer);
  }
}

/** @param {Response} answer */
async function problem(answer) {
  const known = await answer.json().catch(() => null);
  const title = known?.title ?? (answer.statusText || `Status ${answer.status}`);
  return new ApiError(answer.status, title, known?.detail ?? '');
}
