import { describe, expect, it } from 'vitest';
import { RawNatsClient, connectLine } from '../raw-nats-client.ts';
import type { StartTestServer } from '../server-under-test.ts';
import { waitFor } from '../wait-for.ts';
import { startedPerTest } from './started.ts';

export function describeProtocol(start: StartTestServer): void {
  describe('protocol', () => {
    const started = startedPerTest(start);

    it('greets with INFO: version, headers, max_payload', async () => {
      const server = await started.server({ maxPayloadBytes: 4_096 });
      const client = await RawNatsClient.connect(server);
      started.after(() => client.close());
      const info = await waitFor(() => client.all('INFO')[0], { describe: 'INFO' });
      expect(JSON.parse(info.fields)).toMatchObject({
        server_id: expect.any(String),
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        proto: 1,
        headers: true,
        max_payload: 4_096,
        port: server.port,
      });
    });

    it('answers PING with PONG, in order with everything else', async () => {
      const client = await started.raw(await started.server());
      client.send('SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\nPUB a 1\r\ny\r\nPING\r\n');
      await client.sync();
      const order = client.frames.map((frame) => frame.operation).filter((name) => name !== 'INFO');
      expect(order).toEqual(['PONG', 'MSG', 'PONG', 'MSG', 'PONG', 'PONG']);
    });

    it('acknowledges each operation in verbose mode', async () => {
      const client = await started.raw(await started.server(), { verbose: true });
      const before = client.all('+OK').length;
      client.send('SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\n');
      await client.sync();
      expect(client.all('+OK').length - before).toBe(3);
    });

    it('takes operations in any case, tabs, several blanks, and lines without CR', async () => {
      const client = await started.raw(await started.server());
      client.send('sub  a\t7\r\npub a  2\r\nhi\r\nPiNg\nPUB a 2\nho\r\n');
      await client.sync();
      expect(client.messages()).toEqual(['hi', 'ho']);
    });

    it('understands messages that are split at every byte', async () => {
      const client = await started.raw(await started.server());
      const text =
        'SUB a.* q 1\r\nPUB a.b 5\r\nhello\r\nHPUB a.c reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n' +
        'PUB a.d 0\r\n\r\nUNSUB 1\r\n';
      await client.sendByteByByte(Buffer.from(text));
      await client.sync();
      expect(client.messages()).toEqual(['hello', '']);
      expect(client.all('HMSG')).toMatchObject([{ fields: 'a.c 1 reply 12 14' }]);
    });

    it('understands CONNECT that is split at every byte', async () => {
      const server = await started.server({ token: 'secret' });
      const client = await RawNatsClient.connect(server);
      started.after(() => client.close());
      await client.sendByteByByte(Buffer.from(connectLine({ auth_token: 'secret' })));
      await client.sync();
      expect(client.errors()).toEqual([]);
    });

    it('understands one stream at every place where it can be cut in two', async () => {
      const client = await started.raw(await started.server());
      const message = Buffer.from('PUB a 6\r\nabc\r\nd\r\n');
      client.send('SUB a 1\r\n');
      for (let cut = 1; cut < message.length; cut++) {
        client.send(message.subarray(0, cut));
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
        client.send(message.subarray(cut));
      }
      await client.sync();
      expect(client.messages()).toEqual(Array(message.length - 1).fill('abc\r\nd'));
    });

    it('handles thousands of pipelined messages in one write, in order', async () => {
      const client = await started.raw(await started.server());
      const texts = Array.from({ length: 5_000 }, (_, index) => `message ${index}`);
      client.send('SUB pipe 1\r\n');
      client.send(texts.map((text) => `PUB pipe ${text.length}\r\n${text}\r\n`).join(''));
      await client.sync();
      expect(client.messages()).toEqual(texts);
    });

    it('carries payloads of every byte value, and of one megabyte', async () => {
      const client = await started.raw(await started.server({ maxPayloadBytes: 1_048_576 }));
      const bytes = Buffer.alloc(
        1_048_576,
        Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
      );
      client.send('SUB big 1\r\n');
      client.send(
        Buffer.concat([Buffer.from(`PUB big ${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]),
      );
      await client.sync();
      expect(client.all('MSG')[0]?.payload.equals(bytes)).toBe(true);
    });

    it('keeps subjects in UTF-8 as they are', async () => {
      const client = await started.raw(await started.server());
      client.send('SUB größe.* 1\r\nPUB größe.日本 2\r\nok\r\n');
      await client.sync();
      expect(client.all('MSG')[0]?.fields).toBe('größe.日本 1 2');
    });

    it.each([
      ['an unknown operation', 'HELLO there\r\n'],
      ['an HTTP request', 'GET / HTTP/1.1\r\n\r\n'],
      ['a size that is no number', 'PUB a x\r\nx\r\n'],
      ['a negative size', 'PUB a -1\r\n\r\n'],
      ['a missing size', 'PUB a\r\n'],
      ['headers longer than the message', 'HPUB a 20 10\r\n0123456789\r\n'],
      ['a payload longer than it says', 'PUB a 1\r\nxyz\r\n'],
      ['SUB without an id', 'SUB a\r\n'],
      ['CONNECT without JSON', 'CONNECT nonsense\r\n'],
    ])('closes the connection on %s, and no other', async (_name, bytes) => {
      const server = await started.server();
      const good = await started.raw(server);
      const bad = await started.raw(server);
      bad.send(bytes);
      await bad.untilClosed();
      good.send('SUB a 1\r\nPUB a 2\r\nok\r\n');
      await good.sync();
      expect(good.messages()).toEqual(['ok']);
    });

    it('closes the connection on a control line that is too long', async () => {
      const server = await started.server({ maxControlLineBytes: 512 });
      const client = await started.raw(server);
      client.send(`SUB ${'a'.repeat(600)} 1\r\n`);
      await client.untilClosed();
      expect(client.errors().join()).toMatch(/control line/i);
    });

    it.each(['a..b', '.a', 'a.', 'a.>.b', '>.a'])(
      'refuses a subscription to "%s" and goes on',
      async (subject) => {
        const client = await started.raw(await started.server());
        client.send(`SUB ${subject} 1\r\n`);
        await client.sync();
        expect(client.errors()).toEqual(["'Invalid Subject'"]);
      },
    );

    it('refuses to publish to wildcards in pedantic mode and goes on', async () => {
      const client = await started.raw(await started.server(), { pedantic: true });
      client.send('PUB a.* 1\r\nx\r\n');
      await client.sync();
      expect(client.errors()).toEqual(["'Invalid Publish Subject'"]);
    });

    it('asks silent clients for a sign of life and drops those that give none', async () => {
      const server = await started.server({ pingIntervalMs: 100 });
      const client = await started.raw(server);
      await waitFor(() => client.all('PING').length > 0, { describe: 'PING' });
      await client.untilClosed();
      expect(client.errors().join()).toMatch(/stale connection/i);
    });

    it('keeps clients that answer its pings', async () => {
      const server = await started.server({ pingIntervalMs: 50 });
      const client = await started.raw(server);
      let answered = 0;
      await waitFor(
        () => {
          for (; answered < client.all('PING').length; answered++) client.send('PONG\r\n');
          return answered >= 6;
        },
        { describe: 'six pings' },
      );
      expect(client.closed).toBe(false);
    });
  });
}
