import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { describeHttpServerConformance } from '../testing/http-server-conformance.ts';
import { describeHttpsConformance } from '../testing/https-conformance.ts';
import { serveGateway, TEST_KEY } from '../testing/serve.ts';
import type { HttpServerOptions } from './http-server.ts';
import { listenUwebsockets } from './uwebsockets-adapter.ts';
import { loadUwebsockets, type UwsModule } from './uwebsockets-module.ts';

const installed = fileURLToPath(new URL('../../../../../.venv/uws', import.meta.url));
const uws = load(process.env['MANTA_UWEBSOCKETS'] ?? installed);
const listen = (options: HttpServerOptions): ReturnType<typeof listenUwebsockets> =>
  listenUwebsockets(uws, options);

function load(location: string): UwsModule {
  try {
    return loadUwebsockets(location);
  } catch (error) {
    throw new Error('uWebSockets.js is missing: run scripts/install-uwebsockets.sh', {
      cause: error,
    });
  }
}

describeHttpServerConformance('uWebSockets.js', listen);
describeHttpsConformance('uWebSockets.js', listen);

test('the gateway serves the openai client and WebSockets on it', async () => {
  await using gateway = await serveGateway({ listen });
  const client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
  const { data } = await client.embeddings.create({ model: 'local/embedder', input: 'abc' });
  expect(data[0]?.embedding).toEqual([3, 0.5, -0.25, 0.125]);
  const pieces: string[] = [];
  const stream = await client.chat.completions.create({
    model: 'local/writer',
    messages: [{ role: 'user', content: 'one two' }],
    stream: true,
  });
  for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content ?? '');
  expect(pieces.join('')).toBe('one two ');
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/ws`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  });
  await once(socket, 'open');
  const body = { model: 'local/embedder', input: 'abc' };
  socket.send(JSON.stringify({ id: 'e', type: 'embedding', body }));
  const [frame] = (await once(socket, 'message')) as [Buffer];
  expect(JSON.parse(frame.toString())).toMatchObject({ id: 'e', type: 'result' });
  socket.terminate();
  expect(gateway.errors).toEqual([]);
});
