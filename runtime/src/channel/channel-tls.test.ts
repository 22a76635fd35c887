import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import type { MantaError } from '../errors/errors.ts';
import { createIdMint } from '../ids.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../testing/test-certificate.ts';
import { waitFor } from '../testing/wait-for.ts';
import type { Channel, ChannelServer } from './channel.ts';
import { listenChannels } from './channel-server.ts';
import { openChannel } from './open-channel.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const HOST = '127.0.0.1';
const TOKEN = 'the-token-of-the-cluster';
const SECRET = 'what nobody on the way may read';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Listener {
  server: ChannelServer;
  port: number;
  channels: Channel[];
  refused: MantaError[];
}

async function listening(encrypted = true): Promise<Listener> {
  const channels: Channel[] = [];
  const refused: MantaError[] = [];
  const server = await listenChannels({
    processId: mintId('process'),
    role: 'host',
    machineId: 'm',
    tcpHost: HOST,
    encrypted,
    token: TOKEN,
    onChannel: (channel) => channels.push(channel),
    onRefused: (reason) => refused.push(reason),
  });
  cleanups.push(() => server.close());
  return { server, port: server.address.tcp?.port ?? 0, channels, refused };
}

async function open(
  { server }: Listener,
  { port = server.address.tcp?.port ?? 0, token = TOKEN } = {},
): Promise<Channel> {
  const address = { ...server.address, tcp: { host: HOST, port } };
  const self = { processId: mintId('process'), role: 'driver' as const };
  const channel = await openChannel(address, {
    self,
    machineId: 'm',
    token,
    timeoutMs: 5_000,
    encrypted: true,
  });
  cleanups.push(() => channel.close());
  return channel;
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, HOST);
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Somebody on the way, who notes all that passes. */
async function eavesdrop(port: number): Promise<{ port: number; heard: () => Buffer }> {
  const chunks: Buffer[] = [];
  const server = createServer((near) => {
    const far = connect(port, HOST);
    const pass = (from: Socket, to: Socket): void => {
      from.on('data', (chunk: Buffer) => chunks.push(chunk));
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    };
    pass(near, far);
    pass(far, near);
  });
  return { port: await portOf(server), heard: () => Buffer.concat(chunks) };
}

describe('a channel over TCP with TLS', () => {
  it('shows nobody on the way what it carries', async () => {
    const listener = await listening();
    const { port, heard } = await eavesdrop(listener.port);
    const channel = await open(listener, { port });
    const accepted = await waitFor(() => listener.channels[0], { describe: 'the channel' });
    const records: unknown[] = [];
    accepted.onRecord((record) => records.push(record));
    channel.send([1, SECRET]);
    await waitFor(() => records.length === 1, { describe: 'the record' });
    expect(records).toEqual([[1, SECRET]]);
    expect(heard().length).toBeGreaterThan(SECRET.length);
    expect(heard().includes(SECRET)).toBe(false);
    expect(heard().includes('driver')).toBe(false);
  });

  it('is refused to who has another token, and counted', async () => {
    const listener = await listening();
    await expect(open(listener, { token: 'another-token' })).rejects.toMatchObject({
      name: 'AuthenticationError',
    });
    await waitFor(() => listener.refused.length > 0, { describe: 'the refusal' });
    expect(listener.refused).toMatchObject([{ name: 'AuthenticationError' }]);
  });

  it('is refused to who speaks without TLS, and counted', async () => {
    const listener = await listening();
    const socket = connect(listener.port, HOST);
    socket.on('error', () => undefined);
    socket.write('a frame of before');
    await once(socket, 'close');
    await waitFor(() => listener.refused.length > 0, { describe: 'the refusal' });
    expect(listener.refused).toMatchObject([{ name: 'ProtocolError' }]);
    expect(listener.channels).toEqual([]);
  });

  it('is not opened with who takes channels without TLS', async () => {
    const listener = await listening(false);
    await expect(open(listener)).rejects.toMatchObject({ name: 'ClusterUnavailableError' });
    expect(listener.channels).toEqual([]);
  });

  it('is not opened with who shows a certificate in place of the key', async () => {
    const listener = await listening();
    const said: Buffer[] = [];
    const impostor = createTlsServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => said.push(chunk));
    });
    impostor.on('tlsClientError', () => undefined);
    const port = await portOf(impostor);
    await expect(open(listener, { port })).rejects.toMatchObject({
      name: 'ClusterUnavailableError',
    });
    expect(said).toEqual([]);
  });

  it('keeps no listener from closing whose handshake has not begun', async () => {
    const listener = await listening();
    const socket = connect(listener.port, HOST);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    await listener.server.close();
    await waitFor(() => socket.closed, { describe: 'the end of the connection' });
    expect(listener.channels).toEqual([]);
  });
});
