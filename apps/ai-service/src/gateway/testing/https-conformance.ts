import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { HttpServerOptions, ListenHttp } from '../http/http-server.ts';
import type { HttpTls } from '../http/http-tls.ts';
import { ConformanceServer } from './conformance-server.ts';

const fileHere = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
/** Self-signed for localhost and 127.0.0.1, valid until 2125; protects nothing, tests TLS. */
export const TEST_TLS: HttpTls = {
  certificateFile: fileHere('./localhost-certificate.pem'),
  keyFile: fileHere('./localhost-key.pem'),
};
const ca = readFileSync(TEST_TLS.certificateFile);

/** What holds for every HTTP server that is given a certificate; all else is as without. */
export function describeHttpsConformance(name: string, listen: ListenHttp): void {
  describe(`${name} as an HTTPS server`, () => {
    let server: ConformanceServer;
    const listenSecure = (options: HttpServerOptions) => listen({ ...options, tls: TEST_TLS });
    beforeEach(async () => {
      server = await ConformanceServer.start(listenSecure);
    });
    afterEach(() => server[Symbol.asyncDispose]());

    const post = async (body: string): Promise<string> => {
      const outgoing = request(`https://localhost:${server.port}/echo`, { ca, method: 'POST' });
      outgoing.end(body);
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
      return text(answer);
    };

    test('answers who trusts its certificate', async () => {
      expect(await post('over TLS')).toBe('over TLS');
    });

    test('serves WebSockets', async () => {
      const socket = new WebSocket(`wss://127.0.0.1:${server.port}/`, {
        ca,
        headers: { authorization: 'Bearer yes' },
      });
      await once(socket, 'open');
      socket.send('over TLS');
      const [message] = (await once(socket, 'message')) as [Buffer];
      expect(message.toString()).toBe('over TLS');
      socket.terminate();
    });

    test('says nothing in clear, and goes on', async () => {
      await expect(fetch(`http://127.0.0.1:${server.port}/echo`)).rejects.toThrow('fetch failed');
      expect(await post('goes on')).toBe('goes on');
      expect(server.errors).toEqual([]);
    });

    test('closes with connections whose handshake has not begun', async () => {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      await server.server.close({ graceMs: 60_000 });
      expect(server.errors).toEqual([]);
    });

    test('refuses to start with a key of another certificate', async () => {
      const tls = { ...TEST_TLS, keyFile: TEST_TLS.certificateFile };
      const start = ConformanceServer.start((options) => listen({ ...options, tls }));
      await expect(start).rejects.toMatchObject({ name: 'InvalidArgumentError' });
    });
  });
}
