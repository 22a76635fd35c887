import { describe, expect, it } from 'vitest';
import type { StartTestServer } from '../server-under-test.ts';
import { startedPerTest } from './started.ts';

export function describeRouting(start: StartTestServer): void {
  describe('routing', () => {
    const started = startedPerTest(start);

    it.each([
      ['a.b', 'a.b', true],
      ['a.b', 'a.bc', false],
      ['a.b', 'a', false],
      ['a.*', 'a.b', true],
      ['a.*', 'a', false],
      ['a.*', 'a.b.c', false],
      ['*.b', 'a.b', true],
      ['*', 'a', true],
      ['*', 'a.b', false],
      ['a.*.c', 'a.b.c', true],
      ['a.*.c', 'a.b.d', false],
      ['a.>', 'a.b', true],
      ['a.>', 'a.b.c.d', true],
      ['a.>', 'a', false],
      ['>', 'a', true],
      ['>', 'a.b.c', true],
      ['*.*.>', 'a.b.c', true],
      ['*.*.>', 'a.b', false],
      ['a*', 'ab', false],
      ['a*', 'a*', true],
      ['A', 'a', false],
    ])('a subscription to %s and a message to %s: %s', async (pattern, subject, expected) => {
      const client = await started.raw(await started.server());
      client.send(`SUB ${pattern} 1\r\nPUB ${subject} 1\r\nx\r\n`);
      await client.sync();
      expect(client.messages()).toEqual(expected ? ['x'] : []);
    });

    it('delivers nothing for subjects with empty tokens', async () => {
      const client = await started.raw(await started.server());
      client.send(
        'SUB > 1\r\nSUB a.*.b 2\r\nPUB a..b 1\r\nx\r\nPUB .a 1\r\nx\r\nPUB a. 1\r\nx\r\n',
      );
      await client.sync();
      expect(client.messages()).toEqual([]);
    });

    it('delivers once per subscription, also to the same client, with its id', async () => {
      const client = await started.raw(await started.server());
      client.send('SUB a.b one\r\nSUB a.* two\r\nSUB > three\r\nPUB a.b r.1 2\r\nhi\r\n');
      await client.sync();
      const fields = client.all('MSG').map((frame) => frame.fields);
      expect(fields.toSorted()).toEqual(['a.b one r.1 2', 'a.b three r.1 2', 'a.b two r.1 2']);
    });

    it('sees subscriptions made and ended between two messages to one subject', async () => {
      const client = await started.raw(await started.server());
      client.send(
        'PUB a.b 1\r\n0\r\nSUB a.b 1\r\nPUB a.b 1\r\n1\r\nSUB a.* 2\r\nPUB a.b 1\r\n2\r\n',
      );
      client.send('UNSUB 1\r\nPUB a.b 1\r\n3\r\nUNSUB 2\r\nPUB a.b 1\r\n4\r\n');
      await client.sync();
      expect(client.messages()).toEqual(['1', '2', '2', '3']);
    });

    it('keeps the order of one publisher', async () => {
      const server = await started.server();
      const receiver = await started.raw(server);
      const publisher = await started.raw(server);
      receiver.send('SUB order.* 1\r\n');
      await receiver.sync();
      const texts = Array.from({ length: 2_000 }, (_, index) => String(index));
      for (const text of texts) publisher.send(`PUB order.${text} ${text.length}\r\n${text}\r\n`);
      await publisher.sync();
      await receiver.sync();
      expect(receiver.messages()).toEqual(texts);
    });

    it('gives each message to exactly one member of a queue group, and to each group', async () => {
      const server = await started.server();
      const members = await Promise.all([1, 2, 3].map(() => started.raw(server)));
      const other = await started.raw(server);
      const plain = await started.raw(server);
      for (const member of members) member.send('SUB work workers 1\r\n');
      other.send('SUB wo* none 2\r\nSUB * auditors 1\r\n');
      plain.send('SUB work 1\r\n');
      await Promise.all([...members, other, plain].map((client) => client.sync()));

      const publisher = await started.raw(server);
      const texts = Array.from({ length: 600 }, (_, index) => String(index));
      publisher.send(texts.map((text) => `PUB work ${text.length}\r\n${text}\r\n`).join(''));
      await publisher.sync();
      await Promise.all([...members, other, plain].map((client) => client.sync()));

      const byNumber = (a: string, b: string): number => Number(a) - Number(b);
      expect(members.flatMap((member) => member.messages()).toSorted(byNumber)).toEqual(texts);
      // Fair enough: with 600 messages and 3 members, fewer than 100 for one happens less than once in 10^20 runs.
      for (const member of members) expect(member.messages().length).toBeGreaterThan(100);
      expect(other.messages()).toEqual(texts);
      expect(plain.messages()).toEqual(texts);
    });

    it('goes on with the other members when one leaves the queue group', async () => {
      const server = await started.server();
      const [gone, stays] = [await started.raw(server), await started.raw(server)];
      for (const member of [gone, stays]) member.send('SUB work workers 1\r\n');
      await gone.sync();
      await stays.sync();
      gone.close();
      const publisher = await started.raw(server);
      await publisher.sync();
      const texts = Array.from({ length: 50 }, (_, index) => String(index));
      // The server notices the end of the connection in its own time.
      await expect
        .poll(
          async () => {
            publisher.send(texts.map((text) => `PUB work ${text.length}\r\n${text}\r\n`).join(''));
            await publisher.sync();
            await stays.sync();
            return stays.messages().slice(-texts.length);
          },
          { timeout: 10_000 },
        )
        .toEqual(texts);
    });

    it('does not echo to a client that asked for that, nor through a queue group', async () => {
      const server = await started.server();
      const silent = await started.raw(server, { echo: false });
      const other = await started.raw(server);
      silent.send('SUB a 1\r\nSUB a q 2\r\n');
      other.send('SUB a q 1\r\n');
      await silent.sync();
      await other.sync();
      silent.send('PUB a 1\r\nx\r\n'.repeat(20));
      await silent.sync();
      await other.sync();
      expect(silent.messages()).toEqual([]);
      expect(other.messages()).toHaveLength(20);
    });

    it('carries headers to clients that take them and strips them for the others', async () => {
      const server = await started.server();
      const modern = await started.raw(server);
      const old = await started.raw(server, { headers: false, no_responders: false });
      modern.send('SUB h 1\r\n');
      old.send('SUB h 1\r\n');
      await modern.sync();
      await old.sync();
      const headers = 'NATS/1.0\r\nTrace: 1\r\n\r\n';
      modern.send(`HPUB h r ${headers.length} ${headers.length + 2}\r\n${headers}hi\r\n`);
      await modern.sync();
      await old.sync();
      expect(modern.all('HMSG')).toMatchObject([
        { fields: `h 1 r ${headers.length} ${headers.length + 2}` },
      ]);
      expect(modern.all('HMSG')[0]?.payload.toString()).toBe(`${headers}hi`);
      expect(old.all('MSG')).toMatchObject([{ fields: 'h 1 r 2', payload: Buffer.from('hi') }]);
    });

    it('answers a request that nobody listens to with status 503', async () => {
      const client = await started.raw(await started.server());
      client.send('SUB inbox.* 9\r\nPUB nobody inbox.1 2\r\nhi\r\n');
      await client.sync();
      const [answer] = client.all('HMSG');
      expect(answer?.fields).toMatch(/^inbox\.1 9 \d+ \d+$/);
      expect(answer?.payload.toString()).toMatch(/^NATS\/1\.0 503/);
    });

    it('says nothing of missing listeners to a client that did not ask', async () => {
      const client = await started.raw(await started.server(), { no_responders: false });
      client.send('SUB inbox.* 9\r\nPUB nobody inbox.1 2\r\nhi\r\nPUB nobody 2\r\nhi\r\n');
      await client.sync();
      expect(client.all('HMSG')).toEqual([]);
    });

    it('ends a subscription after N messages, counted from its start', async () => {
      const client = await started.raw(await started.server());
      client.send(
        'SUB a 1\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nUNSUB 1 3\r\nPUB a 1\r\n3\r\nPUB a 1\r\n4\r\n',
      );
      client.send('SUB b 2\r\nPUB b 1\r\n5\r\nPUB b 1\r\n6\r\nUNSUB 2 1\r\nPUB b 1\r\n7\r\n');
      await client.sync();
      expect(client.messages()).toEqual(['1', '2', '3', '5', '6']);
    });

    it('lets the id of an ended subscription be used again', async () => {
      const client = await started.raw(await started.server());
      client.send(
        'SUB a 1\r\nUNSUB 1 1\r\nPUB a 1\r\nx\r\nSUB b 1\r\nPUB a 1\r\ny\r\nPUB b 1\r\nz\r\n',
      );
      await client.sync();
      expect(client.messages()).toEqual(['x', 'z']);
    });
  });
}
