import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../broker/broker.ts';
import type { BrokerOptions } from '../broker/broker-options.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../testing/test-certificate.ts';
import { waitFor } from '../testing/wait-for.ts';
import { connectNats, type NatsTransportOptions } from './nats-transport.ts';
import type { ConnectionStatus, Transport } from './transport.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function broker(options: BrokerOptions = {}): Promise<Broker> {
  const started = await startBroker(options);
  cleanUps.push(() => started.close());
  return started;
}

async function connected(
  server: Broker,
  options: Partial<NatsTransportOptions> = {},
): Promise<Transport> {
  const transport = await connectNats({ servers: [server.url], name: 'test', ...options });
  cleanUps.push(() => transport.close());
  return transport;
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(() => new Promise((resolve) => server.close(resolve)));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('connectNats', () => {
  it.each([['wrong'], [undefined]])(
    'refuses token %s with an AuthenticationError that says what to do',
    async (token) => {
      const server = await broker({ token: 'right' });
      const options = token === undefined ? {} : { token };
      await expect(connected(server, options)).rejects.toMatchObject({
        name: 'AuthenticationError',
        message: expect.stringMatching(new RegExp(`${server.url}.*MANTA_TOKEN`)),
      });
    },
  );

  it('names the address where nobody listens, and what to check', async () => {
    const server = await broker();
    await server.close();
    await expect(connected(server)).rejects.toMatchObject({
      name: 'ClusterUnavailableError',
      message: expect.stringMatching(/127\.0\.0\.1:\d+.*refused.*manta status/),
    });
  });

  it.each([
    ['says nothing', undefined],
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['hangs up', null],
    ['is too busy for the token', `INFO {"version":"2.9.0"}\r\n-ERR 'Authentication Timeout'\r\n`],
  ])('fails soon at a server that %s', async (_name, greeting) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      cleanUps.push(() => socket.destroy());
      if (greeting === null) socket.end();
      else if (greeting !== undefined) socket.write(greeting);
    });
    const address = await listening(server);
    await expect(
      connectNats({ servers: [address], name: 'test', connectTimeoutMs: 200 }),
    ).rejects.toMatchObject({
      name: 'ClusterUnavailableError',
      message: expect.stringContaining(address),
    });
  });

  it('takes the first server that answers', async () => {
    const gone = await broker();
    await gone.close();
    const there = await broker();
    const transport = await connected(there, { servers: [gone.url, there.url] });
    expect(transport.status).toBe('connected');
  });

  it('connects over TLS, and not to a server it cannot trust', async () => {
    const server = await broker({ tls: { cert: TEST_CERTIFICATE, key: TEST_KEY } });
    const transport = await connected(server, { tls: { ca: TEST_CERTIFICATE } });
    await transport.flush();
    await expect(connected(server)).rejects.toMatchObject({ name: 'ClusterUnavailableError' });
  });

  it('does not speak to a `tls://` server without TLS', async () => {
    const { port } = await broker();
    const servers = [`tls://localhost:${port}`];
    await expect(connectNats({ servers, name: 'test' })).rejects.toMatchObject({
      name: 'ClusterUnavailableError',
      message: expect.stringContaining('tls'),
    });
  });

  it('says how to trust a certificate that it does not', async () => {
    const { url } = await broker({ tls: { cert: TEST_CERTIFICATE, key: TEST_KEY } });
    expect(url).toMatch(/^tls:/);
    const untrusted = connectNats({ servers: [url], name: 'test' });
    await expect(untrusted).rejects.toThrow(/by MANTA_TLS_CA, or by --tls-ca/);
  });

  it('shows its name to the broker and takes its limit from it', async () => {
    const server = await broker({ maxPayloadBytes: 1_234 });
    const transport = await connected(server, { name: 'agent-7' });
    expect(transport.maxPayloadBytes).toBe(1_234);
    expect(server.disconnect((name) => name === 'agent-7')).toBe(1);
    await waitFor(() => transport.status === 'connected' && server.stats().connectionsTotal === 2, {
      describe: 'connected again',
    });
  });

  it('closes at the first loss when it is not to reconnect', async () => {
    const server = await broker();
    const transport = await connected(server, { reconnect: false });
    const told: ConnectionStatus[] = [];
    transport.onStatus((status) => told.push(status));
    server.disconnect(() => true);
    await waitFor(() => transport.status === 'closed', { describe: 'closed' });
    expect(told.at(-1)).toBe('closed');
  });

  it('goes on trying through a server that refuses its token for a while', async () => {
    let refuse = false;
    const server = await broker({ faults: { onConnect: () => (refuse ? 'refuse' : 'accept') } });
    const transport = await connected(server);
    refuse = true;
    server.disconnect(() => true);
    await waitFor(() => server.stats().authenticationFailures >= 3, {
      describe: 'three refused attempts',
    });
    expect(transport.status).toBe('reconnecting');
    refuse = false;
    await waitFor(() => transport.status === 'connected', { describe: 'connected again' });
  });

  it('notices a server that has fallen silent', async () => {
    const silent = createServer((socket) => {
      socket.on('error', () => {});
      cleanUps.push(() => socket.destroy());
      socket.write(
        'INFO {"server_id":"x","version":"2.9.0","proto":1,"headers":true,"max_payload":1024}\r\n',
      );
      let answered = false;
      socket.on('data', (chunk) => {
        if (answered || !chunk.toString().includes('PING')) return;
        answered = true;
        socket.write('PONG\r\n');
      });
    });
    const transport = await connectNats({
      servers: [await listening(silent)],
      name: 'test',
      pingIntervalMs: 20,
    });
    cleanUps.push(() => transport.close());
    expect(transport.status).toBe('connected');
    await waitFor(() => transport.status === 'reconnecting', { describe: 'the loss is noticed' });
  });
});
