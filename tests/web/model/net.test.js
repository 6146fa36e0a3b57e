import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Api, ApiError } from '../../../web/net/api.js';
import { LogSource } from '../../../web/net/log-source.js';
import { RunDetails } from '../../../web/net/run-details.js';
import { Socket } from '../../../web/net/socket.js';

/** A WebSocket in the test's hands. */
class FakeWebSocket {
  /** @type {any[]} */
  sent = [];
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event?: {code: number}) => void) | null} */
  onclose = null;
  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {}
  /** @param {...object} messages */
  say(...messages) {
    this.onmessage?.({ data: JSON.stringify(messages) });
  }
}

function fakeSocket() {
  /** @type {FakeWebSocket[]} */
  const dialled = [];
  const socket = new Socket('ws://x', () => {
    const ws = new FakeWebSocket();
    dialled.push(ws);
    return /** @type {any} */ (ws);
  });
  return { socket, dialled, last: () => /** @type {FakeWebSocket} */ (dialled.at(-1)) };
}

/** @param {string} text */
const line = (text) => ({ line: text, timestamp: '2026-01-01T00:00:00.000Z', is_error: false });

test('who is no longer welcome is asked at once who they are, and not after a while', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const { socket, last } = fakeSocket();
    let asked = 0;
    socket.mayRetry = async () => {
      asked += 1;
      return false;
    };
    socket.connect();
    last().onopen?.();
    last().onclose?.({ code: 4403 });
    mock.timers.tick(1);
    assert.equal(asked, 1);
    socket.connect();
    last().onopen?.();
    last().onclose?.({ code: 1006 });
    mock.timers.tick(499);
    assert.equal(asked, 1);
    socket.close();
  } finally {
    mock.timers.reset();
  }
});

test('after a break a log goes on with the line behind the last one', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const { socket, dialled, last } = fakeSocket();
    socket.connect();
    const source = new LogSource(socket, /** @type {any} */ ({}), 'h', 'r');
    last().onopen?.();
    const first = last().sent[0];
    assert.deepEqual({ ...first, sub: '' }, { type: 'subscribe', sub: '', host_id: 'h', run_id: 'r', from: -1000 });
    last().say({ type: 'subscribed', sub: first.sub, from: 0, total: 2 }, { type: 'command_output', sub: first.sub, seq: 0, lines: [line('a'), line('b')] });
    last().onclose?.();
    assert.equal(socket.connection.state, 'waiting');
    mock.timers.tick(1000);
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(dialled.length, 2);
    last().onopen?.();
    assert.equal(last().sent[0].from, 2);
    last().say({ type: 'command_output', sub: first.sub, seq: 2, lines: [line('c')] });
    assert.deepEqual([0, 1, 2].map((seq) => source.model.get(seq)?.line), ['a', 'b', 'c']);
    socket.close();
  } finally {
    mock.timers.reset();
  }
});

test('attempts come further and further apart, and silence ends a connection', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const { socket, last, dialled } = fakeSocket();
    socket.connect();
    /** @type {number[]} */
    const waits = [];
    for (let i = 0; i < 7; i++) {
      last().onclose?.();
      const wait = (socket.connection.retryAt ?? 0) - Date.now();
      waits.push(wait);
      mock.timers.tick(Math.ceil(wait));
      await Promise.resolve();
      await Promise.resolve();
    }
    for (const [i, wait] of waits.entries()) {
      const most = Math.min(1000 * 2 ** i, 15_000);
      assert.ok(wait >= most / 2 && wait <= most, `${wait} of ${most}`);
    }
    last().onopen?.();
    const before = dialled.length;
    mock.timers.tick(29_000);
    last().say({ type: 'tick', time: '' });
    mock.timers.tick(29_000);
    assert.equal(socket.connection.state, 'open');
    mock.timers.tick(1_000);
    assert.equal(socket.connection.state, 'waiting');
    assert.equal(dialled.length, before);
    socket.close();
  } finally {
    mock.timers.reset();
  }
});

test('what belongs to an ended subscription goes nowhere, and a bad frame does no harm', () => {
  const { socket, last } = fakeSocket();
  socket.connect();
  last().onopen?.();
  let outputs = 0;
  const end = socket.subscribe({ host: 'h', run: 'r', from: () => 0, onSubscribed: () => {}, onOutput: () => outputs++ });
  const { sub } = last().sent[0];
  last().say({ type: 'command_output', sub, seq: 0, lines: [] });
  end();
  assert.deepEqual(last().sent[1], { type: 'unsubscribe', sub });
  last().say({ type: 'command_output', sub, seq: 0, lines: [] });
  last().onmessage?.({ data: 'no json' });
  assert.equal(outputs, 1);
  socket.close();
});

test('the hosts whose metrics are shown are told again after each reconnect', () => {
  const { socket, last } = fakeSocket();
  socket.connect();
  last().onopen?.();
  assert.deepEqual(last().sent, []);
  const end = socket.watchMetrics('a');
  socket.watchMetrics('b');
  assert.deepEqual(last().sent.at(-1), { type: 'watch_metrics', hosts: ['a', 'b'] });
  end();
  assert.deepEqual(last().sent.at(-1), { type: 'watch_metrics', hosts: ['b'] });
  socket.connect();
  last().onopen?.();
  assert.deepEqual(last().sent, [{ type: 'watch_metrics', hosts: ['b'] }]);
  socket.close();
});

test('a hole is fetched by whole pages', async () => {
  const { socket, last } = fakeSocket();
  /** @type {number[]} */
  const asked = [];
  const api = {
    lines: async (/** @type {string} */ _h, /** @type {string} */ _r, /** @type {number} */ from, /** @type {number} */ limit) => {
      asked.push(from);
      return { first: from, total: 5000, lines: Array.from({ length: limit }, (_, i) => line(String(from + i))) };
    },
  };
  socket.connect();
  const source = new LogSource(socket, /** @type {any} */ (api), 'h', 'r');
  last().onopen?.();
  const { sub } = last().sent[0];
  last().say({ type: 'subscribed', sub, from: 4000, total: 5000 });
  const filled = new Promise((resolve) => (source.onChange = () => source.model.holes(900, 1100).length === 0 && resolve(null)));
  source.need(900, 1100);
  await filled;
  assert.deepEqual(asked.sort((a, b) => a - b), [0, 1000]);
  assert.equal(source.model.get(1099)?.line, '1099');
  source.close();
  socket.close();
});

test('an error answer speaks with the words of the dashboard', async () => {
  const answer = new Response(JSON.stringify({ title: 'Busy', detail: 'switch runs on a' }), { status: 409 });
  const api = new Api(async () => answer);
  await assert.rejects(api.command('a', 'switch'), (error) => error instanceof ApiError && error.status === 409 && error.message === 'switch runs on a');
});

test('no answer is an error that says what to do', async () => {
  const api = new Api(async () => {
    throw new TypeError('failed');
  });
  await assert.rejects(api.runs('a', 10), /did not answer. Check the network/);
});

/** An answer to who asks too often. @param {string} [seconds] */
const tooMany = (seconds = '3') => new Response(JSON.stringify({ title: 'Too Many Requests', status: 429, detail: 'wait' }), { status: 429, headers: { 'Retry-After': seconds } });

test('who asks too often waits as long as the dashboard says, and asks again', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let asked = 0;
    const api = new Api(async () => (++asked < 3 ? tooMany() : new Response('{"runs": []}')));
    const answer = api.runs('a', 10);
    for (const expected of [1, 2]) {
      await settled();
      assert.equal(asked, expected);
      mock.timers.tick(2999);
      await settled();
      assert.equal(asked, expected, 'not too soon');
      mock.timers.tick(1);
    }
    assert.deepEqual(await answer, { runs: [] });
    assert.equal(asked, 3);
  } finally {
    mock.timers.reset();
  }
});

test('a command is sent again once and soon, or its user is told', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let asked = 0;
    const api = new Api(async () => tooMany(++asked < 4 ? '3' : '1800'));
    const refused = api.command('a', 'switch').catch((error) => error);
    await settled();
    assert.equal(asked, 1);
    mock.timers.tick(3000);
    assert.equal((await refused).status, 429);
    assert.equal(asked, 2);
    asked = 3;
    await assert.rejects(api.command('a', 'switch'), (error) => error instanceof ApiError && error.status === 429);
    await assert.rejects(api.runs('a', 10), (error) => error instanceof ApiError && error.status === 429);
    assert.equal(asked, 5);
  } finally {
    mock.timers.reset();
  }
});

test('who guesses passwords too often is told so', async () => {
  const api = new Api(async () => tooMany());
  await assert.rejects(api.login('a', 'b'), (error) => error instanceof ApiError && error.status === 429);
});

test('a page of a log that is refused for a while is fetched later, and is no problem', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const { socket, last } = fakeSocket();
    socket.connect();
    let asked = 0;
    const lines = Array.from({ length: 1000 }, (_, i) => line(String(i)));
    const api = new Api(async () => (++asked < 2 ? tooMany() : new Response(JSON.stringify({ first: 0, total: 5000, lines }))));
    const source = new LogSource(socket, api, 'h', 'r');
    last().onopen?.();
    last().say({ type: 'subscribed', sub: last().sent[0].sub, from: 4000, total: 5000 });
    source.need(10, 20);
    await settled();
    assert.deepEqual([asked, source.problem, source.model.get(10)], [1, '', undefined]);
    mock.timers.tick(3000);
    await settled();
    assert.deepEqual([asked, source.problem, source.model.get(10)?.line], [2, '', '10']);
    source.close();
    socket.close();
  } finally {
    mock.timers.reset();
  }
});

/**
 * A source whose lines are asked for whenever something changes, as a view does.
 * @param {() => Response} answer
 */
function watched(answer) {
  const { socket, last } = fakeSocket();
  socket.connect();
  const asked = { times: 0 };
  const api = new Api(async () => {
    asked.times += 1;
    return answer();
  });
  const source = new LogSource(socket, api, 'h', 'r');
  source.onChange = () => source.need(0, 10);
  last().onopen?.();
  const { sub } = last().sent[0];
  last().say({ type: 'subscribed', sub, from: 5000, total: 5000 });
  return { source, socket, asked };
}

test('after an answer without lines it is asked again after a while that grows, and never at once', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const { source, socket, asked } = watched(() => new Response('{"first": 0, "total": 0, "lines": []}'));
    await settled();
    assert.equal(asked.times, 1);
    for (let second = 0; second < 600; second++) {
      mock.timers.tick(1000);
      await settled();
    }
    assert.ok(asked.times >= 8 && asked.times <= 16, `${asked.times} times in ten minutes`);
    source.close();
    socket.close();
  } finally {
    mock.timers.reset();
  }
});

test('a log that is gone is not asked for again, and says so', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const gone = () => new Response('{"title": "Gone", "status": 410, "detail": "the log of r is gone"}', { status: 410 });
    const { source, socket, asked } = watched(gone);
    await settled();
    for (let second = 0; second < 25; second++) {
      mock.timers.tick(1000);
      await settled();
    }
    assert.deepEqual([asked.times, source.problem], [1, 'the log of r is gone']);
    source.close();
    socket.close();
  } finally {
    mock.timers.reset();
  }
});

/** Lets everything go on that waits for no timer. */
async function settled() {
  for (let i = 0; i < 20; i++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

test('a run that could not be read is asked for again after a while, and one that is gone is not', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    /** @type {string[]} */
    const asked = [];
    /** @type {Record<string, number>} */
    const answers = { busy: 503, gone: 404, removed: 410 };
    /** @type {string[]} */
    const known = [];
    const api = /** @type {any} */ ({
      run: async (/** @type {string} */ host) => {
        asked.push(host);
        const status = answers[host];
        if (status) throw new ApiError(status, 'no', '');
        return { host_id: host };
      },
    });
    const fleet = /** @type {any} */ ({ findRun: () => undefined, asks: () => 0, answered: (/** @type {any} */ run) => known.push(run.host_id) });
    const details = new RunDetails(api, fleet);
    const settle = async () => {
      for (let i = 0; i < 20; i++) await Promise.resolve();
    };
    details.want('gone', 'r');
    details.want('removed', 'r');
    details.want('busy', 'r');
    await settle();
    assert.deepEqual(asked, ['gone', 'removed', 'busy']);
    details.want('busy', 'r');
    details.want('other', 'r');
    await settle();
    assert.equal(asked.length, 3, 'nothing is asked for in the pause');
    delete answers['busy'];
    mock.timers.tick(5_000);
    await settle();
    assert.deepEqual(asked.slice(3).sort(), ['busy', 'other']);
    assert.deepEqual(known.sort(), ['busy', 'other']);
    mock.timers.tick(600_000);
    await settle();
    assert.equal(asked.length, 5);
  } finally {
    mock.timers.reset();
  }
});
