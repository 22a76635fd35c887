import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawNatsClient, connectLine } from '../testing/raw-nats-client.ts';
import type { TestServer } from '../testing/server-under-test.ts';
import { waitFor } from '../testing/wait-for.ts';
import { startBroker, type Broker } from './broker.ts';

const TOKEN = 'fuzz-token';
const GOOD = connectLine({ auth_token: TOKEN, name: 'fuzz' });
const LIMITS = {
  maxPayloadBytes: 65_536,
  maxPendingBytes: 1024 * 1024,
  maxSubscriptionsPerConnection: 50,
};

const subject = fc.constantFrom(
  'a',
  'a.b',
  'a.*',
  '>',
  'a..b',
  '.',
  '*',
  'good.1',
  '$SYS.x',
  'ü',
  'x'.repeat(5_000),
);
const size = fc.oneof(
  fc.nat(20),
  fc.constantFrom(-1, 65_536, 65_537, 2 ** 31, 1e21),
  fc.constant('NaN'),
);
const line = fc.oneof(
  fc.constantFrom(
    'PING',
    'PONG',
    '+OK',
    "-ERR 'x'",
    'INFO {}',
    GOOD.trim(),
    'CONNECT {',
    'CONNECT {"a":[[[[[]]]]]}',
  ),
  fc.tuple(subject, fc.nat(9)).map(([to, id]) => `SUB ${to} ${id}`),
  fc.tuple(subject, fc.nat(9)).map(([to, id]) => `SUB ${to} q ${id}`),
  fc.tuple(fc.nat(9), size).map(([id, max]) => `UNSUB ${id} ${max}`),
  fc
    .tuple(subject, size, fc.string({ maxLength: 20 }))
    .map(([to, bytes, body]) => `PUB ${to} a.b ${bytes}\r\n${body}`),
  fc
    .tuple(subject, size, size, fc.string({ maxLength: 20 }))
    .map(([to, headers, bytes, body]) => `HPUB ${to} ${headers} ${bytes}\r\n${body}`),
  fc.string({ maxLength: 40 }),
);

/** Valid operations, nearly valid ones and noise, with some bytes changed. */
const mutated = fc
  .tuple(
    fc.array(line, { maxLength: 10 }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
  )
  .map(([lines, changes]) => {
    const bytes = Buffer.from(lines.map((each) => `${each}\r\n`).join(''));
    if (bytes.length > 0) for (const [place, value] of changes) bytes[place % bytes.length] = value;
    return bytes;
  });
const noise = fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes));

describe('broker under hostile input', () => {
  let broker: Broker;
  let server: TestServer;
  let good: RawNatsClient;
  let pings = 0;

  beforeAll(async () => {
    broker = await startBroker({ token: TOKEN, limits: LIMITS });
    server = { host: broker.host, port: broker.port, url: broker.url, stop: () => broker.close() };
    good = await RawNatsClient.ready(server, { auth_token: TOKEN });
    good.send('SUB private.only.1 1\r\n');
    await good.sync();
  });

  afterAll(async () => {
    good.close();
    await broker.close();
  });

  const attack = async (chunks: Buffer[]): Promise<void> => {
    const attacker = await RawNatsClient.connect(server);
    for (const chunk of chunks) attacker.send(chunk);
    attacker.socket.end();
    await attacker.untilClosed();
  };

  const wellBehavedClientIsServed = async (): Promise<void> => {
    pings++;
    good.send(`PUB private.only.1 ${String(pings).length}\r\n${pings}\r\n`);
    await good.sync();
    expect(good.messages().at(-1)).toBe(String(pings));
  };

  it('survives noise and mutated operations of strangers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(noise, mutated), { minLength: 1, maxLength: 3 }),
        async (chunks) => {
          await attack(chunks);
          await wellBehavedClientIsServed();
        },
      ),
      { numRuns: 150 },
    );
    expect(broker.stats().authenticationFailures).toBeGreaterThan(0);
  });

  it('survives noise and mutated operations of clients that have the token', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(noise, mutated), { minLength: 1, maxLength: 3 }),
        async (chunks) => {
          await attack([Buffer.from(GOOD), ...chunks]);
          await wellBehavedClientIsServed();
        },
      ),
      { numRuns: 300 },
    );
    expect(broker.stats().protocolErrors).toBeGreaterThan(0);
  });

  it('keeps nothing of those who are gone, and heard every error as one', async () => {
    await waitFor(() => broker.stats().connectionsOpen === 1, {
      describe: 'only the good client is left',
    });
    expect(broker.stats()).toMatchObject({
      connectionsOpen: 1,
      subscriptionsOpen: 1,
      slowConsumers: 0,
    });
    expect(good.errors()).toEqual([]);
  });

  it('keeps little for strangers who announce much and never finish', async () => {
    const before = process.memoryUsage();
    const strangers = await Promise.all(
      Array.from({ length: 50 }, () => RawNatsClient.connect(server)),
    );
    for (const stranger of strangers) stranger.send(`CONNECT {"auth_token":"${'x'.repeat(4_000)}`);
    await wellBehavedClientIsServed();
    const grown = process.memoryUsage().rss - before.rss;
    expect(grown).toBeLessThan(64 * 1024 * 1024);
    for (const stranger of strangers) stranger.send('x'.repeat(1_000));
    await Promise.all(strangers.map((stranger) => stranger.untilClosed()));
    await wellBehavedClientIsServed();
  });
});
