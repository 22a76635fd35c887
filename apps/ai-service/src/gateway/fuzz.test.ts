import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { serveGateway, type ServedGateway, TEST_KEY } from './testing/serve.ts';

/** Whatever a client sends: never a 500, never a crash, always an answer in the protocol's own form. */
let gateway: ServedGateway;
beforeAll(async () => {
  gateway = await serveGateway();
});
afterAll(() => gateway[Symbol.asyncDispose]());

const PATHS = [
  '/v1/embeddings',
  '/v1/chat/completions',
  '/v1/completions',
  '/v2/models/echo/infer',
];

const junk = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(null, 0, -1, 1e308, '', '\u0000', '__proto__', [], {}, [[]], true),
);

/** Bodies that are nearly right: known fields, some with junk in them. */
const nearlyRight = fc.record(
  {
    model: fc.oneof(
      fc.constantFrom('local/writer', 'local/embedder', 'local/echo', 'local/none'),
      junk,
    ),
    messages: fc.oneof(
      fc.constant([{ role: 'user', content: 'a b' }]),
      fc.array(junk, { maxLength: 3 }),
    ),
    prompt: fc.oneof(fc.constant('a b'), junk),
    input: fc.oneof(fc.constant('a b'), junk),
    inputs: fc.oneof(
      fc.array(
        fc.record(
          {
            name: fc.oneof(fc.constant('x'), junk),
            datatype: fc.oneof(fc.constantFrom('FP32', 'BYTES', 'BOOL', 'INT64'), junk),
            shape: fc.oneof(fc.constant([1]), junk),
            data: fc.oneof(fc.constant([1]), junk),
            parameters: fc.oneof(fc.constant({ binary_data_size: 4 }), junk),
          },
          { requiredKeys: [] },
        ),
      ),
      junk,
    ),
    outputs: junk,
    stream: fc.oneof(fc.boolean(), junk),
    stream_options: fc.oneof(fc.constant({ include_usage: true }), junk),
    n: fc.oneof(fc.integer({ min: 1, max: 3 }), junk),
    max_tokens: fc.oneof(fc.integer({ min: 1, max: 3 }), junk),
    temperature: fc.oneof(fc.constant(1), junk),
    stop: fc.oneof(fc.constant('x'), junk),
    seed: fc.oneof(fc.constant(1), junk),
    tools: junk,
    response_format: junk,
    logit_bias: junk,
  },
  { requiredKeys: [] },
);

const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((json) => Buffer.from(json)),
  nearlyRight.map((value) => Buffer.from(JSON.stringify(value))),
);

test('any body on any route gets an answer that is not a 500', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...PATHS),
      body,
      fc.option(fc.nat(50)),
      async (path, bytes, length) => {
        const headers =
          length === null ? {} : { 'inference-header-content-length': String(length) };
        const answer = await gateway.post(path, '', { body: bytes, headers });
        const text = await answer.text();
        expect([200, 400, 404]).toContain(answer.status);
        expect(answer.status === 200 || 'error' in (JSON.parse(text) as object)).toBe(true);
      },
    ),
    { numRuns: 400 },
  );
  expect(gateway.errors).toEqual([]);
});

test('any path gets an answer that is not a 500', async () => {
  const segment = fc.oneof(
    fc.constantFrom(
      'v1',
      'v2',
      'models',
      'local',
      'infer',
      'versions',
      'ready',
      '..',
      '%2F',
      '%',
      '__proto__',
    ),
    fc.webPath(),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(segment, { maxLength: 6 }), async (segments) => {
      const answer = await gateway.fetch(`/${segments.join('/')}`);
      expect(answer.status).toBeLessThan(500);
      await answer.arrayBuffer();
    }),
    { numRuns: 200 },
  );
});

test('any frame on a WebSocket is answered, and the socket lives', async () => {
  const frame = fc.oneof(
    body.map((bytes) => ({ bytes, binary: true })),
    fc
      .record({
        id: fc.oneof(fc.string(), junk),
        type: fc.constantFrom('chat', 'infer', 'embedding', 'x'),
        body: nearlyRight,
      })
      .map((value) => ({ bytes: Buffer.from(JSON.stringify(value)), binary: false })),
  );
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/ws`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  });
  const ends: unknown[] = [];
  socket.on('message', (data: Buffer, isBinary) => {
    const { type, status } = JSON.parse(
      (isBinary ? data.subarray(4, 4 + data.readUInt32LE(0)) : data).toString(),
    ) as {
      type: string;
      status?: number;
    };
    if (type === 'done' || type === 'error') ends.push(status ?? 200);
  });
  await new Promise((resolve) => socket.on('open', resolve));
  await fc.assert(
    fc.asyncProperty(frame, async ({ bytes, binary }) => {
      const before = ends.length;
      socket.send(bytes, { binary });
      await expect.poll(() => ends.length, { interval: 2 }).toBe(before + 1);
      expect([200, 400, 404]).toContain(ends.at(-1));
    }),
    { numRuns: 200 },
  );
  expect(socket.readyState).toBe(WebSocket.OPEN);
  socket.terminate();
});
