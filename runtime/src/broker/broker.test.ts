import { once } from 'node:events';
import { createConnection } from 'node:net';
import { connect } from '@nats-io/transport-node';
import { afterEach, describe, expect, it } from 'vitest';
import { RawNatsClient, connectLine } from '../testing/raw-nats-client.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../testing/test-certificate.ts';
import { waitFor } from '../testing/wait-for.ts';
import { startBroker, type Broker } from './broker.ts';
import type { BrokerOptions, Delivery } from './broker-options.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function started(options: BrokerOptions = {}): Promise<Broker> {
  const broker = await startBroker(options);
  cleanUps.push(() => broker.close());
  return broker;
}

/** What clients of the tests need to know of the broker. */
const address = (
  broker: Broker,
): { host: string; port: number; url: string; stop(): Promise<void> } => ({
  host: broker.host,
  port: broker.port,
  url: broker.url,
  stop: () => broker.close(),
});

async function ready(broker: Broker, fields: Record<string, unknown> = {}): Promise<RawNatsClient> {
  const client = await RawNatsClient.ready(address(broker), fields);
  cleanUps.push(() => client.close());
  return client;
}

describe('startBroker', () => {
  it('says clearly that it cannot listen', async () => {
    const broker = await started();
    await expect(startBroker({ port: broker.port })).rejects.toMatchObject({
      name: 'ClusterUnavailableError',
      message: expect.stringContaining(`127.0.0.1:${broker.port}`),
    });
  });

  it('refuses limits that contradict each other', async () => {
    await expect(startBroker({ limits: { maxPendingBytes: 10 } })).rejects.toMatchObject({
      name: 'InvalidArgumentError',
    });
  });

  it('counts connections, subscriptions, messages and bytes', async () => {
    const broker = await started();
    const client = await ready(broker);
    client.send('SUB a 1\r\nSUB a 2\r\nPUB a 2\r\nhi\r\nSUB in 3\r\nPUB none in 0\r\n\r\n');
    await client.sync();
    expect(broker.stats()).toMatchObject({
      connectionsOpen: 1,
      connectionsTotal: 1,
      subscriptionsOpen: 3,
      messagesIn: 2,
      messagesOut: 3,
      noResponders: 1,
      protocolErrors: 0,
    });
    expect(broker.stats().bytesIn).toBeGreaterThan(50);
    expect(broker.stats().bytesOut).toBeGreaterThan(50);
    client.close();
    await waitFor(() => broker.stats().connectionsOpen === 0, {
      describe: 'the connection is gone',
    });
    expect(broker.stats()).toMatchObject({ subscriptionsOpen: 0, connectionsTotal: 1 });
  });

  it('tells whose connection has ended, of those that it had admitted', async () => {
    const gone: string[] = [];
    const broker = await started({ token: 'right', onDisconnected: (name) => gone.push(name) });
    const stranger = await RawNatsClient.connect(address(broker));
    stranger.send(connectLine({ name: 'stranger', auth_token: 'wrong' }));
    await stranger.untilClosed();
    const client = await ready(broker, { name: 'guest', auth_token: 'right' });
    client.close();
    await waitFor(() => gone.length > 0, { describe: 'somebody is gone' });
    await waitFor(() => broker.stats().connectionsOpen === 0, { describe: 'nobody is left' });
    expect(gone).toEqual(['guest']);
  });

  it('keeps no subscription that has had all its messages', async () => {
    const broker = await started();
    const client = await ready(broker);
    client.send('SUB a 1\r\nPUB a 0\r\n\r\nPUB a 0\r\n\r\nUNSUB 1 1\r\n');
    client.send('SUB a 2\r\nUNSUB 2 1\r\nPUB a 0\r\n\r\n');
    await client.sync();
    expect(broker.stats()).toMatchObject({ subscriptionsOpen: 0, messagesOut: 3 });
  });

  it('counts and logs what it refuses, by reason', async () => {
    const warnings: Record<string, unknown>[] = [];
    const logger = {
      info: () => {},
      warn: (fields: Record<string, unknown>) => void warnings.push(fields),
    };
    const broker = await started({
      token: 'secret',
      logger,
      limits: { authTimeoutMs: 50, pingIntervalMs: 60_000 },
    });
    const refused = await RawNatsClient.connect(address(broker));
    refused.send(connectLine({ auth_token: 'wrong', name: 'intruder' }));
    await refused.untilClosed();
    const silent = await RawNatsClient.connect(address(broker));
    await silent.untilClosed();
    const bad = await ready(broker, { auth_token: 'secret', name: 'bad' });
    bad.send('NONSENSE\r\n');
    await bad.untilClosed();
    expect(broker.stats()).toMatchObject({
      authenticationFailures: 1,
      authenticationTimeouts: 1,
      protocolErrors: 1,
    });
    expect(warnings).toMatchObject([
      { name: 'intruder', reason: 'Authorization Violation' },
      { reason: 'Authentication Timeout' },
      { name: 'bad', reason: 'Unknown Protocol Operation' },
    ]);
    expect(JSON.stringify(warnings)).not.toContain('wrong');
  });

  it('blames no client for the time in which this process itself was busy', async () => {
    const broker = await started({ token: 'secret', limits: { authTimeoutMs: 50 } });
    const client = await RawNatsClient.connect(address(broker));
    cleanUps.push(() => client.close());
    await waitFor(() => client.all('INFO').length > 0, { describe: 'INFO' });
    client.send(connectLine({ auth_token: 'secret' }));
    const busyUntil = performance.now() + 100;
    while (performance.now() < busyUntil);
    await client.sync();
    expect(broker.stats().authenticationTimeouts).toBe(0);
  });

  it('drops a slow consumer with a reason, slows its publisher down before that, and counts both', async () => {
    const broker = await started({
      limits: { maxPendingBytes: 1024 * 1024, maxPayloadBytes: 65_536 },
    });
    const slow = await ready(broker);
    slow.send('SUB flood 1\r\n');
    await slow.sync();
    slow.socket.pause();
    const publisher = await ready(broker);
    await waitFor(
      async () => {
        publisher.send(`PUB flood 65536\r\n${'x'.repeat(65_536)}\r\n`);
        await publisher.sync();
        return broker.stats().slowConsumers === 1;
      },
      { describe: 'the slow consumer is dropped', intervalMs: 0 },
    );
    slow.socket.resume();
    await slow.untilClosed();
    expect(slow.errors()).toEqual(["'Slow Consumer'"]);
    await waitFor(() => broker.stats().connectionsOpen === 1, { describe: 'it is forgotten' });
    expect(broker.stats().subscriptionsOpen).toBe(0);
    expect(broker.stats().publisherStalls).toBeGreaterThan(0);
    await publisher.sync();
  });

  it('drops the client furthest behind when what waits for all of them together is too much', async () => {
    const broker = await started({
      limits: {
        maxPayloadBytes: 65_536,
        maxPendingBytes: 2 * 1024 * 1024,
        maxTotalPendingBytes: 4 * 1024 * 1024,
      },
    });
    const publisher = await ready(broker);
    const payload = 'x'.repeat(65_536);
    const fill = async (subject: string, untilBytes: number): Promise<void> => {
      await waitFor(
        async () => {
          publisher.send(`PUB ${subject} 65536\r\n${payload}\r\n`);
          await publisher.sync();
          const { pendingBytesOpen, slowConsumers } = broker.stats();
          return pendingBytesOpen >= untilBytes || slowConsumers > 0;
        },
        { describe: 'bytes wait', intervalMs: 0 },
      );
    };
    const lagging = async (subject: string, untilBytes: number): Promise<RawNatsClient> => {
      const client = await ready(broker);
      client.send(`SUB ${subject} 1\r\n`);
      await client.sync();
      client.socket.pause();
      await fill(subject, untilBytes);
      return client;
    };
    const mebibyte = 1024 * 1024;
    const far = await lagging('far', 1.75 * mebibyte);
    const near = await lagging('near', 3.25 * mebibyte);
    expect(broker.stats().slowConsumers).toBe(0);
    const last = await lagging('last', Infinity);
    expect(broker.stats().slowConsumers).toBe(1);
    far.socket.resume();
    await far.untilClosed();
    expect(far.errors()).toEqual(["'Slow Consumer'"]);
    for (const client of [near, last]) {
      client.socket.resume();
      await client.sync();
    }
    await waitFor(() => broker.stats().pendingBytesOpen === 0, { describe: 'all is read' });
  });

  it('tells its clients that it closes, after everything queued before', async () => {
    const broker = await started();
    const client = await ready(broker);
    client.send('SUB a 1\r\n');
    await client.sync();
    client.send('PUB a 2\r\nhi\r\n');
    await waitFor(() => broker.stats().messagesIn === 1, { describe: 'the message' });
    await broker.close();
    await client.untilClosed();
    expect(client.messages()).toEqual(['hi']);
    expect(JSON.parse(client.all('INFO').at(-1)?.fields ?? '')).toMatchObject({ ldm: true });
    await expect(RawNatsClient.connect(address(broker))).rejects.toThrow(/ECONNREFUSED/);
  });

  it('closes within its grace although a client does not read', async () => {
    const broker = await started();
    const client = await ready(broker);
    client.socket.pause();
    await broker.close({ graceMs: 20 });
    expect(broker.stats().connectionsOpen).toBe(0);
  });

  it('listens on IPv6 too', async () => {
    const broker = await started({ host: '::1' });
    expect(broker.url).toBe(`nats://[::1]:${broker.port}`);
    const connection = await connect({ servers: broker.url });
    await connection.close();
  });
});

describe('faults', () => {
  it('drops and delays deliveries as told', async () => {
    const deliveries: Delivery[] = [];
    const broker = await started({
      faults: {
        onDelivery(delivery) {
          deliveries.push(delivery);
          if (delivery.subject === 'lost') return 'drop';
          return delivery.subject === 'late' ? { delayMs: 20 } : 'deliver';
        },
      },
    });
    const client = await ready(broker, { name: 'both' });
    client.send('SUB > 1\r\nPUB late 1\r\n1\r\nPUB lost 1\r\n2\r\nPUB soon 1\r\n3\r\n');
    await waitFor(() => client.messages().length === 2, { describe: 'two messages' });
    expect(client.messages()).toEqual(['3', '1']);
    expect(deliveries[0]).toEqual({
      subject: 'late',
      publisher: 'both',
      receiver: 'both',
      payloadBytes: 1,
    });
  });

  it('refuses and disconnects clients by name', async () => {
    const broker = await started({
      faults: { onConnect: (name) => (name === 'unwanted' ? 'refuse' : 'accept') },
    });
    await expect(ready(broker, { name: 'unwanted' })).rejects.toThrow(/Authorization Violation/);
    const client = await ready(broker, { name: 'victim' });
    const other = await ready(broker, { name: 'other' });
    expect(broker.disconnect((name) => name === 'victim')).toBe(1);
    await client.untilClosed();
    await other.sync();
  });
});

describe('TLS', () => {
  const tls = { cert: TEST_CERTIFICATE, key: TEST_KEY };

  it('serves clients that trust the certificate', async () => {
    const broker = await started({ tls, token: 'secret' });
    const options = { servers: `tls://localhost:${broker.port}`, token: 'secret' };
    const connection = await connect({ ...options, tls: { ca: TEST_CERTIFICATE } });
    cleanUps.push(() => connection.close());
    connection.subscribe('echo', {
      callback: (_error, message) => void message.respond(message.data),
    });
    expect((await connection.request('echo', 'over TLS', { timeout: 5_000 })).string()).toBe(
      'over TLS',
    );
    await expect(connect(options)).rejects.toThrow(/self-signed/);
  });

  it('asks for a certificate of the client where configured', async () => {
    const broker = await started({
      tls: { ...tls, ca: TEST_CERTIFICATE, requestCertificate: true },
    });
    const servers = `tls://localhost:${broker.port}`;
    const connection = await connect({
      servers,
      tls: { ca: TEST_CERTIFICATE, cert: TEST_CERTIFICATE, key: TEST_KEY },
    });
    await connection.flush();
    await connection.close();
    await expect(
      connect({ servers, tls: { ca: TEST_CERTIFICATE }, timeout: 2_000, reconnect: false }),
    ).rejects.toThrow(/certificate|disconnected|closed|reset|ECONN|EPIPE/i);
  });

  it('gives nothing to clients that go on in clear, and forgets them', async () => {
    const broker = await started({ tls });
    const socket = createConnection({ host: broker.host, port: broker.port });
    cleanUps.push(() => socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'data');
    socket.write(`${connectLine()}PING\r\n`);
    await once(socket, 'close');
    await waitFor(() => broker.stats().connectionsOpen === 0, {
      describe: 'the connection is gone',
    });
    expect(broker.stats().messagesIn).toBe(0);
  });
});
