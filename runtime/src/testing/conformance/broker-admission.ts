import { describe, expect, it } from 'vitest';
import { RawNatsClient, connectLine } from '../raw-nats-client.ts';
import type { StartTestServer, TestServer } from '../server-under-test.ts';
import { waitFor } from '../wait-for.ts';
import { startedPerTest } from './started.ts';

const REFUSED = /authorization violation|authentication/i;

export function describeAdmission(start: StartTestServer): void {
  describe('admission and limits', () => {
    const started = startedPerTest(start);

    const unauthenticated = async (server: TestServer): Promise<RawNatsClient> => {
      const client = await RawNatsClient.connect(server);
      started.after(() => client.close());
      await waitFor(() => client.all('INFO').length > 0, { describe: 'INFO' });
      return client;
    };

    it('says in INFO that it wants a token, and admits who has it', async () => {
      const server = await started.server({ token: 'secret' });
      const client = await unauthenticated(server);
      expect(JSON.parse(client.all('INFO')[0]?.fields ?? '')).toMatchObject({
        auth_required: true,
      });
      client.send(connectLine({ auth_token: 'secret' }));
      await client.sync();
    });

    it.each([
      ['a wrong token', connectLine({ auth_token: 'wrong' })],
      ['the beginning of the token', connectLine({ auth_token: 'secre' })],
      ['an empty token', connectLine({ auth_token: '' })],
      ['no token', connectLine()],
      ['a user and password', connectLine({ user: 'admin', pass: 'secret' })],
      ['a message before CONNECT', 'PUB a 1\r\nx\r\n'],
      ['a subscription before CONNECT', 'SUB > 1\r\n'],
    ])('refuses %s', async (_name, bytes) => {
      const server = await started.server({ token: 'secret' });
      const listener = await started.raw(server, { auth_token: 'secret' });
      listener.send('SUB a 1\r\n');
      await listener.sync();
      const client = await unauthenticated(server);
      client.send(bytes);
      await client.untilClosed();
      expect(client.errors().join()).toMatch(REFUSED);
      await listener.sync();
      expect(listener.messages()).toEqual([]);
    });

    it('drops a client that does not authenticate in time', async () => {
      const server = await started.server({ token: 'secret', authTimeoutMs: 200 });
      const client = await unauthenticated(server);
      await client.untilClosed();
      expect(client.errors().join()).toMatch(/authentication timeout/i);
    });

    it('reads no more than a control line from a client that has not authenticated', async () => {
      const server = await started.server({ token: 'secret', maxControlLineBytes: 512 });
      const client = await unauthenticated(server);
      client.send(`CONNECT {"auth_token":"${'x'.repeat(4_000)}`);
      await client.untilClosed();
      expect(client.errors().join()).toMatch(/control line/i);
    });

    it('takes messages up to the maximum payload and closes on more', async () => {
      const server = await started.server({ maxPayloadBytes: 1_000 });
      const other = await started.raw(server);
      const client = await started.raw(server);
      client.send(`SUB a 1\r\nPUB a 1000\r\n${'x'.repeat(1_000)}\r\n`);
      await client.sync();
      expect(client.messages()).toHaveLength(1);
      client.send(`PUB a 1001\r\n${'x'.repeat(1_001)}\r\n`);
      await client.untilClosed();
      expect(client.errors().join()).toMatch(/maximum payload/i);
      await other.sync();
    });

    it('counts headers as payload', async () => {
      const server = await started.server({ maxPayloadBytes: 100 });
      const client = await started.raw(server);
      client.send(`HPUB a 50 101\r\n`);
      await client.untilClosed();
      expect(client.errors().join()).toMatch(/maximum payload/i);
    });

    it('refuses clients beyond the maximum and keeps the others', async () => {
      const server = await started.server({ maxConnections: 2 });
      const clients = [await started.raw(server), await started.raw(server)];
      const third = await RawNatsClient.connect(server);
      started.after(() => third.close());
      await third.untilClosed();
      expect(third.errors().join()).toMatch(/maximum connections exceeded/i);
      for (const client of clients) await client.sync();
      clients[0]?.close();
      await waitFor(() => started.raw(server), { describe: 'room for one more' });
    });

    it('refuses subscriptions beyond the maximum and goes on', async () => {
      const server = await started.server({ maxSubscriptionsPerConnection: 2 });
      const client = await started.raw(server);
      client.send('SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n');
      await client.sync();
      expect(client.errors().join()).toMatch(/maximum subscriptions exceeded/i);
      client.send('PUB a 1\r\na\r\nPUB c 1\r\nc\r\nUNSUB 1\r\nSUB c 4\r\nPUB c 1\r\nd\r\n');
      await client.sync();
      expect(client.messages()).toEqual(['a', 'd']);
    });

    it('drops a client that does not read, and no one else notices', async () => {
      const server = await started.server({ maxPendingBytes: 262_144, maxPayloadBytes: 65_536 });
      const slow = await started.raw(server);
      const good = await started.raw(server);
      for (const client of [slow, good]) {
        client.send('SUB flood 1\r\n');
        await client.sync();
      }
      slow.socket.pause();
      const publisher = await started.raw(server);
      const message = `PUB flood 16384\r\n${'x'.repeat(16_384)}\r\n`;
      let sent = 0;
      await waitFor(
        async () => {
          for (let index = 0; index < 20; index++, sent++) publisher.send(message);
          await publisher.sync();
          await good.sync();
          return slow.socket.destroyed || sent >= 4_000 || (await isGone(slow));
        },
        { timeoutMs: 60_000, describe: 'the slow client is dropped' },
      );
      slow.socket.resume();
      await slow.untilClosed();
      await good.sync();
      expect(good.messages()).toHaveLength(sent);
    });
  });
}

/** A write to a connection that the other side has reset fails. */
async function isGone(client: RawNatsClient): Promise<boolean> {
  return new Promise((resolve) => {
    client.socket.write('PING\r\n', (error) => resolve(error !== undefined && error !== null));
  });
}
