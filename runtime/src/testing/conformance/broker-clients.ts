import {
  connect,
  headers,
  type NatsConnection,
  type NodeConnectionOptions,
} from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import type { StartTestServer, TestServer } from '../server-under-test.ts';
import { waitFor } from '../wait-for.ts';
import { startedPerTest } from './started.ts';

/** The same server through the NATS client that Manta uses. */
export function describeClients(start: StartTestServer): void {
  describe('with the NATS client', () => {
    const started = startedPerTest(start);

    const client = async (
      server: TestServer,
      options: NodeConnectionOptions = {},
    ): Promise<NatsConnection> => {
      const connection = await connect({ servers: server.url, ...options });
      started.after(() => connection.close());
      return connection;
    };

    it('request and reply, with headers', async () => {
      const server = await started.server();
      const responder = await client(server);
      responder.subscribe('add.*', {
        callback: (_error, message) => {
          const answer = headers();
          answer.set('Seen', message.headers?.get('Trace') ?? '');
          message.respond(`${message.subject} ${message.string()}`, { headers: answer });
        },
      });
      await responder.flush();
      const given = headers();
      given.set('Trace', 'trace-1');
      const reply = await (
        await client(server)
      ).request('add.one', 'hello', { timeout: 5_000, headers: given });
      expect(reply.string()).toBe('add.one hello');
      expect(reply.headers?.get('Seen')).toBe('trace-1');
    });

    it('many requests at once', async () => {
      const server = await started.server();
      const responder = await client(server);
      responder.subscribe('echo', {
        queue: 'q',
        callback: (_error, message) => void message.respond(message.data),
      });
      await responder.flush();
      const requester = await client(server);
      const numbers = Array.from({ length: 500 }, (_, index) => String(index));
      const replies = await Promise.all(
        numbers.map(async (text) =>
          (await requester.request('echo', text, { timeout: 10_000 })).string(),
        ),
      );
      expect(replies).toEqual(numbers);
    });

    it('a request that nobody answers to fails at once', async () => {
      const connection = await client(await started.server());
      await expect(connection.request('nobody', '', { timeout: 60_000 })).rejects.toThrow(
        /no responders/,
      );
      await expect(
        connection.request('nobody', '', { timeout: 60_000, noMux: true }),
      ).rejects.toThrow(/no responders/);
    });

    it('drain: everything that was sent before is handled, then nothing more comes', async () => {
      const server = await started.server();
      const receiver = await client(server);
      const seen: string[] = [];
      receiver.subscribe('jobs', {
        callback: (_error, message) => void seen.push(message.string()),
      });
      await receiver.flush();
      const publisher = await client(server);
      for (let index = 0; index < 200; index++) publisher.publish('jobs', String(index));
      await publisher.flush();
      const drained = receiver.drain();
      await drained;
      expect(seen).toHaveLength(200);
      await expect(publisher.request('jobs', '', { timeout: 5_000 })).rejects.toThrow(
        /no responders/,
      );
    });

    it('a subscription with max gets exactly that many', async () => {
      const connection = await client(await started.server());
      let seen = 0;
      connection.subscribe('limited', { max: 3, callback: () => void seen++ });
      for (let index = 0; index < 10; index++) connection.publish('limited', 'x');
      await connection.flush();
      expect(seen).toBe(3);
    });

    it('tokens: right, wrong, none', async () => {
      const server = await started.server({ token: 'secret' });
      await client(server, { token: 'secret' });
      await expect(connect({ servers: server.url, token: 'wrong' })).rejects.toThrow(
        /authorization violation/i,
      );
      await expect(connect({ servers: server.url })).rejects.toThrow(/authorization violation/i);
    });

    it('finds its way back after the server was restarted, with its subscriptions', async () => {
      const first = await started.server({ token: 'secret' });
      const options = {
        token: 'secret',
        reconnectTimeWait: 20,
        reconnectJitter: 0,
        maxReconnectAttempts: -1,
      };
      const responder = await client(first, options);
      const requester = await client(first, options);
      responder.subscribe('echo', {
        callback: (_error, message) => void message.respond(message.data),
      });
      await responder.flush();
      await first.stop();
      await started.server({ token: 'secret', port: first.port });
      const reply = await waitFor(() => requester.request('echo', 'again', { timeout: 500 }), {
        describe: 'an answer from the restarted server',
      });
      expect(reply.string()).toBe('again');
    });

    it('carries payloads from empty to the maximum', async () => {
      const maxPayloadBytes = 2 * 1_024 * 1_024;
      const server = await started.server({ maxPayloadBytes });
      const connection = await client(server);
      connection.subscribe('echo', {
        callback: (_error, message) => void message.respond(message.data),
      });
      for (const size of [0, 1, 2, 65_535, 65_536, 65_537, 1_000_000, maxPayloadBytes]) {
        const bytes = Buffer.alloc(size, `${size} `);
        const reply = await connection.request('echo', bytes, { timeout: 10_000 });
        expect(Buffer.from(reply.data).equals(bytes)).toBe(true);
      }
    });
  });
}
