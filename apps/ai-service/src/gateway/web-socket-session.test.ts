import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { serveGateway, type ServedGateway, TEST_KEY } from './testing/serve.ts';

interface Frame {
  id: string | null;
  type: string;
  status?: number;
  body?: Record<string, unknown>;
  error?: { message: string; code: string | null; param: string | null };
}

let gateway: ServedGateway;
let socket: WebSocket;
let frames: (Frame & { binary?: Buffer })[];

beforeEach(async () => {
  gateway = await serveGateway();
  frames = [];
  socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/ws`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  });
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) return void frames.push(JSON.parse(data.toString()) as Frame);
    const end = 4 + data.readUInt32LE(0);
    const frame = JSON.parse(data.subarray(4, end).toString()) as Frame;
    return void frames.push({ ...frame, binary: data.subarray(end) });
  });
  await once(socket, 'open');
});
afterEach(async () => {
  socket.terminate();
  await gateway[Symbol.asyncDispose]();
});

const send = (frame: object): void => socket.send(JSON.stringify(frame));
const framesOf = (id: string | null): typeof frames => frames.filter((frame) => frame.id === id);
const lastOf = (id: string | null): Frame | undefined => framesOf(id).at(-1);
const chat = (content: string, more: object = {}): object => ({
  model: 'local/writer',
  messages: [{ role: 'user', content }],
  ...more,
});

describe('requests', () => {
  test('of all kinds run side by side on one socket', async () => {
    send({ id: 'e', type: 'embedding', body: { model: 'local/embedder', input: 'abc' } });
    send({ id: 'c', type: 'chat', body: chat('one two') });
    send({ id: 't', type: 'completion', body: { model: 'local/writer', prompt: 'a b' } });
    const input = { name: 'x', datatype: 'INT32', shape: [1], data: [4] };
    send({ id: 'i', type: 'infer', body: { model: 'echo', inputs: [input] } });
    for (const id of ['e', 'c', 't', 'i']) await expect.poll(() => lastOf(id)?.type).toBe('done');
    expect(framesOf('e')[0]).toMatchObject({
      type: 'result',
      body: { data: [{ embedding: [3, 0.5, -0.25, 0.125] }] },
    });
    expect(framesOf('c')[0]?.body).toMatchObject({
      choices: [{ message: { content: 'one two ' } }],
    });
    expect(framesOf('t')[0]?.body).toMatchObject({ choices: [{ text: 'a b ' }] });
    expect(framesOf('i')[0]?.body).toMatchObject({ outputs: [{ name: 'x_out', data: [4] }] });
  });

  test('stream deltas, which are the chunks of the HTTP route', async () => {
    send({ id: 's', type: 'chat', body: chat('one two', { stream: true }) });
    await expect.poll(() => lastOf('s')?.type).toBe('done');
    const deltas = framesOf('s').slice(0, -1);
    expect(deltas.every((frame) => frame.type === 'delta')).toBe(true);
    expect(deltas.map((frame) => frame.body?.['choices'])).toMatchObject([
      [{ delta: { role: 'assistant' } }],
      [{ delta: { content: 'one ' } }],
      [{ delta: { content: 'two ' } }],
      [{ delta: {}, finish_reason: 'stop' }],
    ]);
  });

  test('carry tensors in binary frames', async () => {
    const tensor = Buffer.from(Float64Array.from([1.5, -2]).buffer);
    const body = {
      model: 'local/echo',
      version: '3',
      inputs: [{ name: 'x', datatype: 'FP64', shape: [2], parameters: { binary_data_size: 16 } }],
      parameters: { binary_data_output: true },
    };
    const json = Buffer.from(JSON.stringify({ id: 'b', type: 'infer', body }));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(json.length);
    socket.send(Buffer.concat([head, json, tensor]));
    await expect.poll(() => lastOf('b')?.type).toBe('done');
    expect(framesOf('b')[0]?.binary?.equals(tensor)).toBe(true);
  });

  test('are cancelled by their id, and the model stops', async () => {
    send({ id: 'h', type: 'chat', body: chat('hang', { stream: true }) });
    await expect.poll(() => framesOf('h').length).toBeGreaterThan(2);
    send({ id: 'h', type: 'cancel' });
    await expect
      .poll(() => lastOf('h'))
      .toMatchObject({ type: 'error', status: 499, error: { code: 'cancelled' } });
    expect(gateway.registry.writer.cancelled).toBe(1);
    send({ id: 'h', type: 'cancel' });
    send({ id: 'h', type: 'chat', body: chat('again') });
    await expect.poll(() => lastOf('h')?.type).toBe('done');
  });

  test('are cancelled when the socket closes', async () => {
    for (const id of ['1', '2', '3'])
      send({ id, type: 'chat', body: chat('hang', { stream: true }) });
    await expect.poll(() => framesOf('3').length).toBeGreaterThan(0);
    socket.terminate();
    await expect.poll(() => gateway.registry.writer.cancelled, { timeout: 1000 }).toBe(3);
    expect(gateway.errors).toEqual([]);
  });

  test('that break end with an error and not with done', async () => {
    send({ id: 'f', type: 'chat', body: chat('a b fail:2 c', { stream: true }) });
    await expect.poll(() => lastOf('f')).toMatchObject({ type: 'error', status: 500 });
    expect(framesOf('f').some((frame) => frame.type === 'done')).toBe(false);
  });

  test('that run finish when the server closes', async () => {
    const content = Array.from({ length: 200 }, (_, index) => index).join(' ');
    send({ id: 'r', type: 'chat', body: chat(content, { stream: true }) });
    await expect.poll(() => framesOf('r').length).toBeGreaterThan(0);
    const closed = once(socket, 'close');
    await gateway.server.close({ graceMs: 10_000 });
    expect(((await closed) as [number])[0]).toBe(1001);
    expect(lastOf('r')?.type).toBe('done');
  });
});

describe('bad frames', () => {
  test.each([
    ['no JSON', 'hello', null, null],
    ['no object', '[]', null, 'id'],
    ['no id', '{"type":"chat"}', null, 'id'],
    ['an id that is too long', JSON.stringify({ id: 'x'.repeat(129) }), null, 'id'],
    ['no type', '{"id":"a"}', 'a', 'type'],
    ['an unknown type', '{"id":"a","type":"toString"}', 'a', 'type'],
    ['no body', '{"id":"a","type":"chat"}', 'a', 'body'],
    ['a wrong body', '{"id":"a","type":"chat","body":{"messages":[]}}', 'a', 'messages'],
  ])('with %s are answered with an error, and the socket lives', async (_what, text, id, param) => {
    socket.send(text);
    await expect
      .poll(() => lastOf(id))
      .toMatchObject({ type: 'error', status: 400, error: { param } });
    send({ id: 'next', type: 'embedding', body: { model: 'local/embedder', input: 'a' } });
    await expect.poll(() => lastOf('next')?.type).toBe('done');
  });

  test('of bytes need their length first, and bytes need infer', async () => {
    for (const bytes of [[], [1], [255, 0, 0, 0, 1]]) {
      const before = frames.length;
      socket.send(Buffer.from(bytes));
      await expect.poll(() => frames.length).toBe(before + 1);
      expect(frames.at(-1)).toMatchObject({ id: null, type: 'error', status: 400 });
    }
  });

  test('with an id that is in use or beyond the limit are refused, and nothing else stops', async () => {
    for (let index = 0; index < 32; index += 1)
      send({ id: `h${index}`, type: 'chat', body: chat('hang') });
    await expect.poll(() => gateway.registry.writer.requests).toHaveLength(32);
    send({ id: 'h0', type: 'chat', body: chat('x') });
    await expect.poll(() => lastOf('h0')?.error?.code).toBe('duplicate_id');
    send({ id: 'more', type: 'chat', body: chat('x') });
    await expect.poll(() => lastOf('more')).toMatchObject({ status: 429 });
    expect(gateway.registry.writer.cancelled).toBe(0);
  });
});

test.each([
  ['/v1/ws', 'sk-wrong', 401],
  ['/v1/other', TEST_KEY, 404],
])('the upgrade at %s with %s is refused with %d', async (path, key, status) => {
  const refused = new WebSocket(gateway.url.replace('http', 'ws') + path, {
    headers: { authorization: `Bearer ${key}` },
  });
  refused.on('error', () => undefined);
  const [, response] = (await once(refused, 'unexpected-response')) as [
    unknown,
    { statusCode: number },
  ];
  expect(response.statusCode).toBe(status);
  refused.terminate();
});
