import {
  ActorDiedError,
  ActorUnavailableError,
  BackpressureError,
  ClusterUnavailableError,
  InvalidArgumentError,
  SerializationError,
  TaskError,
  TaskTimeoutError,
} from '@manta/sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ModelInputError } from '../models/errors.ts';
import { RawClient } from './testing/raw-http.ts';
import { serveGateway, type ServedGateway, TEST_KEY } from './testing/serve.ts';

let gateway: ServedGateway;
beforeAll(async () => {
  gateway = await serveGateway();
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  gateway.errors.length = 0;
  for (const model of gateway.registry.models) {
    model.failure = undefined;
    model.ready = true;
  }
});

const deathCause = { kind: 'crash', message: 'gone' } as const;
const MANTA_ERRORS: Record<string, Error> = {
  InvalidArgumentError: new InvalidArgumentError('no'),
  BackpressureError: new BackpressureError('no'),
  TaskTimeoutError: new TaskTimeoutError('no'),
  ActorDiedError: new ActorDiedError('no', { actorId: 'a', deathCause: deathCause as never }),
  ActorUnavailableError: new ActorUnavailableError('no'),
  ClusterUnavailableError: new ClusterUnavailableError('no'),
  TaskError: new TaskError('no', { cause: new Error('no'), method: 'embed' }),
  SerializationError: new SerializationError('no', 'args[0]'),
};

const embedding = { model: 'local/embedder', input: 'abc' };
const chat = (content: string, more: object = {}): object => ({
  model: 'local/writer',
  messages: [{ role: 'user', content }],
  ...more,
});

describe('keys', () => {
  test.each([
    ['no header', {}],
    ['a wrong key', { authorization: 'Bearer sk-manta-tesT' }],
    ['another scheme', { authorization: `Basic ${TEST_KEY}` }],
    ['a prefix of the key', { authorization: `Bearer ${TEST_KEY.slice(0, -1)}` }],
  ])('refuse %s', async (_what, headers) => {
    for (const path of ['/v1/models', '/v2', '/metrics', '/nothing']) {
      const answer = await fetch(gateway.url + path, { headers });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
    }
  });

  test('are not needed by probes and preflights', async () => {
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    const preflight = await fetch(`${gateway.url}/v1/embeddings`, {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('allow')).toBe('POST, OPTIONS');
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('every answer', () => {
  test('carries the request id of the client if it is sane, else one of ours', async () => {
    const idFor = async (id: string): Promise<string | null> =>
      (await gateway.fetch('/v1/models', { headers: { 'x-request-id': id } })).headers.get(
        'x-request-id',
      );
    expect(await idFor('trace-1.a:b')).toBe('trace-1.a:b');
    expect(await idFor('x'.repeat(200))).toMatch(/^req_/);
    expect(await idFor('a b')).toMatch(/^req_/);
  });

  test('of a model names it and the time that the gateway took', async () => {
    const answer = await gateway.post('/v1/embeddings', embedding);
    expect(answer.headers.get('x-manta-model')).toBe('local/embedder');
    expect(answer.headers.get('x-manta-route')).toBe('direct');
    expect(Number(answer.headers.get('x-manta-overhead-ms'))).toBeLessThan(1000);
    expect(answer.headers.get('content-type')).toBe('application/json');
  });

  test('to HEAD has no body, and a wrong method is told the right ones', async () => {
    const head = await gateway.fetch('/v1/models', { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(10);
    const wrong = await gateway.fetch('/v1/embeddings', { method: 'GET' });
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe('POST, OPTIONS');
    expect(await wrong.json()).toMatchObject({
      error: { message: expect.stringContaining('POST') },
    });
  });
});

describe('failures', () => {
  test('have the form of the protocol that is spoken there, also where nothing is served', async () => {
    const authorization = `Bearer ${TEST_KEY}`;
    for (const path of ['/v2/', '/v2/nope', '/v2/models/%ff/ready'])
      expect(await (await gateway.fetch(path, { headers: { authorization } })).json()).toEqual({
        error: expect.any(String),
      });
    expect(await (await gateway.fetch('/v3')).json()).toMatchObject({ error: { code: null } });
  });

  test('to coded bodies and to refused WebSockets say so, with an id', async () => {
    const coded = await gateway.fetch('/v1/embeddings', {
      method: 'POST',
      headers: { 'content-encoding': 'gzip' },
      body: JSON.stringify(embedding),
    });
    expect(coded.status).toBe(415);
    using client = new RawClient(gateway.port);
    client.send(
      'GET /v1/ws HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
        'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await expect.poll(() => client.received).toMatch(/ 401 /);
    expect(client.received).toMatch(/x-request-id: mine\r\n/);
    expect(client.received).toMatch(/www-authenticate: Bearer\r\n/);
  });

  test('ends streams that a stopping service cuts short with an event that says so', async () => {
    await using stopping = await serveGateway();
    const answer = await stopping.post('/v1/chat/completions', chat('hang', { stream: true }));
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    const first = await reader?.read();
    stopping.gateway.stop();
    let text = first?.value ?? '';
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
      text += part.value;
    expect(text).toMatch(/data: \{"error":\{"message":"the service is shutting down".*\}\}\n\n$/);
    expect(text).not.toContain('[DONE]');
  });

  test('a chat beyond the context has the code by which clients know it', async () => {
    gateway.registry.writer.failure = new TaskError('no', {
      cause: new ModelInputError('too long', undefined, 'context_length_exceeded'),
      method: 'generate',
    });
    const answer = await gateway.post('/v1/chat/completions', chat('a'));
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      error: { code: 'context_length_exceeded', param: null },
    });
  });

  test.each([
    ['InvalidArgumentError', 'MANTA_INVALID_ARGUMENT', 400],
    ['BackpressureError', 'MANTA_BACKPRESSURE', 429],
    ['TaskTimeoutError', 'MANTA_TASK_TIMEOUT', 504],
    ['ActorDiedError', 'MANTA_ACTOR_DIED', 503],
    ['ActorUnavailableError', 'MANTA_ACTOR_UNAVAILABLE', 503],
    ['ClusterUnavailableError', 'MANTA_CLUSTER_UNAVAILABLE', 503],
    ['TaskError', 'MANTA_TASK_FAILED', 500],
    ['SerializationError', 'MANTA_SERIALIZATION', 500],
  ])('of the runtime, %s, become a status', async (name, code, status) => {
    for (const model of gateway.registry.models) model.failure = MANTA_ERRORS[name];
    const answer = await gateway.post('/v1/embeddings', embedding);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { code, message: 'no' } });
    expect(answer.headers.has('retry-after')).toBe(status === 429 || status === 503);
    expect(gateway.errors).toHaveLength(status >= 500 ? 1 : 0);
  });

  test('of a model’s input are the client’s, also out of an actor call', async () => {
    const cause = Object.assign(new Error('input 0 is too long'), { param: 'input' });
    cause.name = 'ModelInputError';
    for (const model of gateway.registry.models)
      model.failure = new TaskError('embed failed', { cause, method: 'embed' });
    const answer = await gateway.post('/v1/embeddings', embedding);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      error: { message: 'input 0 is too long', param: 'input' },
    });
  });

  test.each([
    ['ModelOverloadedError', 429],
    ['ModelEngineError', 503],
  ])('of a model, %s, become a status with a time to come back', async (name, status) => {
    const cause = Object.assign(new Error('not now'), { name, code: 'WHY' });
    for (const model of gateway.registry.models)
      model.failure = new TaskError('embed failed', { cause, method: 'embed' });
    const answer = await gateway.post('/v1/embeddings', embedding);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(await answer.json()).toMatchObject({ error: { message: 'not now', code: 'WHY' } });
  });

  test('that nobody expected tell the client nothing of the inside', async () => {
    for (const model of gateway.registry.models) model.failure = new Error('secret path /etc/x');
    const answer = await gateway.post('/v1/embeddings', embedding);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
    expect(gateway.errors).toMatchObject([{ requestId: answer.headers.get('x-request-id') }]);
  });

  test.each([
    ['no body', '', 'no body'],
    ['half a JSON', '{"model":', 'not valid JSON'],
    ['an array', '[]', 'must be a JSON object'],
    ['null', 'null', 'must be a JSON object'],
  ])('for %s say what is wrong', async (_what, body, message) => {
    const answer = await gateway.post('/v1/embeddings', body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      error: { message: expect.stringContaining(message) },
    });
  });

  test('for bytes that are not UTF-8 and paths that are not percent-encoding', async () => {
    const answer = await gateway.post('/v1/embeddings', '', {
      body: Buffer.from([0x22, 0xff, 0x22]),
    });
    expect(await answer.json()).toMatchObject({
      error: { message: expect.stringContaining('UTF-8') },
    });
    expect((await gateway.fetch('/v1/models/%ff%zz')).status).toBe(400);
  });

  test('for a body over the limit', async () => {
    await using small = await serveGateway({ limits: { bodyBytes: 100 } });
    const answer = await small.post('/v1/embeddings', { ...embedding, input: 'x'.repeat(200) });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
  });
});

describe('streams', () => {
  const events = async (body: object, path = '/v1/chat/completions'): Promise<string[]> => {
    const answer = await gateway.post(path, body);
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const parts = (await answer.text()).split('\n\n');
    expect(parts.pop()).toBe('');
    for (const part of parts) expect(part).toMatch(/^data: /);
    return parts.map((part) => part.slice('data: '.length));
  };

  test('end with [DONE] when complete', async () => {
    const chunks = await events(chat('a b', { stream: true }));
    expect(chunks.at(-1)).toBe('[DONE]');
    expect(chunks).toHaveLength(5);
  });

  test.each([
    ['breaks', 'a b fail:1 c'],
    ['ends without saying why', 'a b cut'],
  ])('whose model %s end with one error and no [DONE]', async (_what, content) => {
    const chunks = await events(chat(content, { stream: true }));
    expect(chunks).not.toContain('[DONE]');
    const failures = chunks.filter((chunk) => 'error' in (JSON.parse(chunk) as object));
    expect(failures).toEqual([chunks.at(-1)]);
    expect(JSON.parse(chunks.at(-1) ?? '')).toMatchObject({ error: { type: expect.any(String) } });
  });

  test('of which one choice breaks are broken as a whole, and the others are stopped', async () => {
    const { writer } = gateway.registry;
    const before = writer.cancelled;
    const body = { model: 'local/writer', prompt: ['hang', 'x fail:1 y'], stream: true };
    const chunks = await events(body, '/v1/completions');
    expect(JSON.parse(chunks.at(-1) ?? '')).toHaveProperty('error');
    await expect.poll(() => writer.cancelled).toBe(before + 1);
  });

  test('stop the model within a second when the client leaves', async () => {
    const { writer } = gateway.registry;
    const before = writer.cancelled;
    const body = JSON.stringify(chat('hang', { stream: true }));
    const client = new RawClient(gateway.port);
    client.send(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    await expect.poll(() => client.received).toContain('data: ');
    client.socket.destroy();
    await expect.poll(() => writer.cancelled, { timeout: 1000 }).toBe(before + 1);
    const { produced } = writer;
    await gateway.fetch('/v1/models');
    expect(writer.produced).toBe(produced);
    expect(gateway.errors).toEqual([]);
  });

  test('that nobody reads stop the model from running ahead', async () => {
    const { writer } = gateway.registry;
    const before = writer.produced;
    const body = JSON.stringify(chat(`hang ${'w'.repeat(4000)}`, { stream: true }));
    using client = new RawClient(gateway.port);
    client.socket.pause();
    client.send(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    let last = -1;
    const stalled = (): boolean => {
      const same = writer.produced === last && last > before;
      last = writer.produced;
      return same;
    };
    await expect.poll(stalled, { interval: 200, timeout: 10_000 }).toBe(true);
  });
});

test('readiness follows the models', async () => {
  gateway.registry.writer.ready = false;
  const answer = await fetch(`${gateway.url}/readyz`);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({ status: 'starting', waitingFor: ['local/writer'] });
  expect((await gateway.fetch('/v2/health/ready')).status).toBe(503);
  expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
});

test('the counters count requests, tokens and time, by routes that exist', async () => {
  await gateway.post('/v1/embeddings', embedding);
  await gateway.fetch('/made-up/by-a-client');
  const text = await (await gateway.fetch('/metrics')).text();
  expect(text).toMatch(
    /manta_gateway_requests_total\{route="\/v1\/embeddings",method="POST",status="200"\} \d/,
  );
  expect(text).toMatch(/manta_gateway_tokens_total\{model="local\/embedder",kind="prompt"\} \d/);
  expect(text).toContain('manta_gateway_overhead_seconds_bucket');
  expect(text).toContain('manta_gateway_requests_ongoing 1');
  expect(text).not.toContain('made-up');
});

test('what the HTTP parser refused is counted', async () => {
  const counted = async (status: number): Promise<number> => {
    const text = await (await gateway.fetch('/metrics')).text();
    const row = new RegExp(`manta_gateway_requests_refused_total\\{status="${status}"\\} (\\d+)`);
    return Number(row.exec(text)?.[1] ?? 0);
  };
  const before = await Promise.all([counted(400), counted(431)]);
  using garbage = new RawClient(gateway.port);
  garbage.send('NO HTTP\r\n\r\n');
  using large = new RawClient(gateway.port);
  large.send(`GET / HTTP/1.1\r\nhost: x\r\nx-large: ${'y'.repeat(32 * 1024)}\r\n\r\n`);
  using gone = new RawClient(gateway.port);
  gone.send('GET / HT');
  await expect.poll(() => garbage.closed && large.closed).toBe(true);
  gone.socket.resetAndDestroy();
  expect(await Promise.all([counted(400), counted(431)])).toEqual(before.map((count) => count + 1));
});
