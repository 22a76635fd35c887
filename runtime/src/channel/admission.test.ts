import { randomFillSync } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createIdMint } from '../ids.ts';
import { waitFor } from '../testing/wait-for.ts';
import { LIMITS } from '../wire/limits.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { Channel, ChannelServer } from './channel.ts';
import { listenChannels } from './channel-server.ts';
import { encodeFrame, FRAME_KIND, FrameReader, type Frame, type FrameKind } from './frame.ts';
import { answerFor, challengeFor, createHello } from './handshake.ts';
import { openChannel } from './open-channel.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const token = 'the-token';

let directory: string;
let server: ChannelServer;
let refusals: string[];
let channels: Channel[];
const sockets: Socket[] = [];
const servers: Server[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'manta-admission-'));
  refusals = [];
  channels = [];
  server = await listenChannels({
    processId: mintId('process'),
    role: 'host',
    machineId: 'm',
    socketDirectory: directory,
    token,
    onChannel: (channel) => {
      channels.push(channel);
      channel.onRecord((record) => channel.send(['echo', ...record]));
    },
    onRefused: (reason) => refusals.push(reason.name),
  });
});
afterEach(async () => {
  vi.useRealTimers();
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const other of servers.splice(0)) other.close();
  await server.close();
  const left = readdirSync(directory);
  rmSync(directory, { recursive: true });
  if (left.length > 0) throw new Error(`left behind: ${left.join()}`);
});

const open = (
  options: { token?: string; address?: ProcessAddress; timeoutMs?: number } = {},
): ReturnType<typeof openChannel> =>
  openChannel(options.address ?? server.address, {
    self: { processId: mintId('process'), role: 'driver' },
    machineId: 'm',
    token: options.token ?? token,
    timeoutMs: options.timeoutMs ?? 5_000,
  });

/** A peer that speaks frames but decides itself which. */
function rawPeer(): {
  socket: Socket;
  frames: Frame[];
  send(kind: FrameKind, body: unknown): void;
  closed(): Promise<void>;
} {
  const socket = connect(server.address.socketPath as string);
  sockets.push(socket);
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame), LIMITS.frameBytes);
  socket.on('data', (chunk) => reader.push(chunk));
  socket.on('error', () => undefined);
  return {
    socket,
    frames,
    send: (kind, body) => void socket.write(Buffer.concat(encodeFrame(kind, body))),
    closed: async () => void (await waitFor(() => socket.destroyed, { describe: 'the close' })),
  };
}

/** An established channel that must not notice anything. */
async function witness(): Promise<() => Promise<void>> {
  const channel = await open();
  const echoes: unknown[] = [];
  channel.onRecord((record) => echoes.push(record[1]));
  let calls = 0;
  return async () => {
    calls += 1;
    channel.send([calls]);
    await waitFor(() => echoes.length === calls, { describe: 'the echo' });
  };
}

const hello = createHello({ processId: mintId('process'), role: 'driver' });

describe('admission', () => {
  it('names the peer of each end', async () => {
    const channel = await open();
    expect(channel.peer).toEqual({ processId: server.address.processId, role: 'host' });
    await waitFor(() => channels.length === 1, { describe: 'the accepted channel' });
    expect(channels[0]?.peer.role).toBe('driver');
  });

  it('refuses a caller with another token', async () => {
    await expect(open({ token: 'wrong' })).rejects.toMatchObject({ name: 'AuthenticationError' });
    expect(channels).toEqual([]);
  });

  it('counts a caller that answers without knowing the token', async () => {
    const peer = rawPeer();
    peer.send(0, hello);
    await waitFor(() => peer.frames.length === 1, { describe: 'the challenge' });
    peer.send(0, { proof: Buffer.alloc(32) });
    await peer.closed();
    expect(refusals).toEqual(['AuthenticationError']);
    expect(peer.frames[1]).toMatchObject({
      kind: FRAME_KIND.refusal,
      body: { name: 'AuthenticationError' },
    });
  });

  it('refuses an answer that was heard in another conversation', async () => {
    const first = rawPeer();
    first.send(0, hello);
    await waitFor(() => first.frames.length === 1, { describe: 'the challenge' });
    const { answer } = answerFor(first.frames[0]?.body, hello, token);
    first.send(0, answer);
    await waitFor(() => channels.length === 1, { describe: 'the channel' });
    const replay = rawPeer();
    replay.send(0, hello);
    replay.send(0, answer);
    await replay.closed();
    expect(refusals).toEqual(['AuthenticationError']);
    expect(channels).toHaveLength(1);
  });

  it('refuses its own proof sent back, and a challenge made from it', async () => {
    const peer = rawPeer();
    peer.send(0, hello);
    await waitFor(() => peer.frames.length === 1, { describe: 'the challenge' });
    const [challenge] = peer.frames as [Frame];
    const { proof } = challenge.body as { proof: Buffer };
    peer.send(0, { proof });
    await peer.closed();
    expect(refusals).toEqual(['AuthenticationError']);
    // Towards a caller: its own hello as if it were the challenge.
    expect(() => answerFor({ ...hello, proof }, hello, token)).toThrow(/does not know/);
  });

  it('both sides agree only over the same two hellos', () => {
    const self = { processId: mintId('process'), role: 'host' } as const;
    const listener = challengeFor(hello, self, token);
    const { challenge } = listener;
    const { answer, peer } = answerFor(challenge, hello, token);
    expect(peer).toEqual(self);
    expect(listener.accept(answer)).toEqual(hello.self);
    expect(() => challengeFor(hello, self, token).accept(answer)).toThrow(/token/);
    expect(() => answerFor(challenge, createHello(hello.self), token)).toThrow(/token/);
    expect(() =>
      answerFor({ ...(challenge as object), self: { ...self, role: 'agent' } }, hello, token),
    ).toThrow(/token/);
  });

  it.each([
    ['records before the handshake', 1, [[1, 2]], 'AuthenticationError'],
    ['a refusal before the handshake', 4, null, 'AuthenticationError'],
    ['no hello', 0, null, 'ProtocolError'],
    ['a hello with a short nonce', 0, { ...hello, nonce: Buffer.alloc(3) }, 'ProtocolError'],
    [
      'a hello of an unknown role',
      0,
      { ...hello, self: { ...hello.self, role: 'head' } },
      'ProtocolError',
    ],
    [
      'a hello with no process id',
      0,
      { ...hello, self: { ...hello.self, processId: 'p_1' } },
      'ProtocolError',
    ],
    [
      'an oversized hello',
      0,
      { ...hello, more: Buffer.alloc(LIMITS.handshakeFrameBytes) },
      'ProtocolError',
    ],
    [
      'a deeply nested hello',
      0,
      JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`),
      'ProtocolError',
    ],
  ] as const)('refuses %s', async (_what, kind, body, error) => {
    const call = await witness();
    const peer = rawPeer();
    peer.send(kind, body);
    await peer.closed();
    expect(refusals).toEqual([error]);
    expect(channels).toHaveLength(1);
    await call();
  });

  it('refuses a peer that does not finish its handshake in time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const [silent, half] = [rawPeer(), rawPeer()];
    half.send(0, hello);
    while (half.frames.length === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(LIMITS.handshakeTimeoutMs);
    vi.useRealTimers();
    await Promise.all([silent.closed(), half.closed()]);
    expect(refusals).toEqual(['AuthenticationError', 'AuthenticationError']);
  });

  it('a channel that is open goes on while other peers send random bytes', async () => {
    const call = await witness();
    const frame = fc.tuple(fc.nat(5), fc.uint8Array({ maxLength: 100 })).map(([kind, body]) => {
      const bytes = Buffer.concat([Buffer.from([0, 0, 0, 0, 1, kind, 0, 0]), body]);
      bytes.writeUInt32LE(bytes.length, 0);
      return bytes;
    });
    const peers = fc.array(fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 200 }), frame), {
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(peers, async (chunks) => {
        const peer = rawPeer();
        for (const chunk of chunks) peer.socket.write(chunk);
        await call();
        peer.socket.destroy();
      }),
      { numRuns: 100 },
    );
    expect(channels).toHaveLength(1);
  });

  it('garbage behind a sound handshake ends that channel only', async () => {
    const call = await witness();
    const peer = rawPeer();
    peer.send(0, hello);
    await waitFor(() => peer.frames.length === 1, { describe: 'the challenge' });
    peer.send(0, answerFor(peer.frames[0]?.body, hello, token).answer);
    peer.send(1, 'not a list');
    await peer.closed();
    expect(refusals).toEqual(['ProtocolError']);
    await call();
  });
});

describe('opening', () => {
  /** Something else listens at the address. */
  async function impostor(onSocket: (socket: Socket) => void): Promise<ProcessAddress> {
    const path = join(directory, 'impostor');
    const listening = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined));
      onSocket(socket);
    });
    servers.push(listening);
    await new Promise<void>((resolve) => listening.listen(path, resolve));
    return { ...server.address, socketPath: path };
  }

  it('does not take another process for the one it wants', async () => {
    const address = { ...server.address, processId: mintId('process') };
    await expect(open({ address })).rejects.toThrow(/another process \(p_\w+\) answers/);
  });

  it('finds out that the listener does not know the token', async () => {
    const address = await impostor((socket) => {
      const reader = new FrameReader((frame) => {
        const self = { processId: server.address.processId, role: 'host' } as const;
        socket.write(
          Buffer.concat(
            encodeFrame(FRAME_KIND.handshake, challengeFor(frame.body, self, 'guess').challenge),
          ),
        );
      }, LIMITS.frameBytes);
      socket.on('data', (chunk) => reader.push(chunk));
    });
    await expect(open({ address })).rejects.toMatchObject({ name: 'AuthenticationError' });
  });

  it('finds out that the listener only sends back what it gets', async () => {
    const address = await impostor((socket) => socket.pipe(socket));
    await expect(open({ address })).rejects.toMatchObject({ name: 'ProtocolError' });
  });

  it.each([
    ['says nothing', () => undefined, 'ClusterUnavailableError'],
    ['hangs up', (socket: Socket) => socket.destroy(), 'ClusterUnavailableError'],
    [
      'speaks HTTP',
      (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'ProtocolError',
    ],
  ])('a listener that %s is an error in time', async (_what, onSocket, name) => {
    const address = await impostor(onSocket);
    await expect(open({ address, timeoutMs: 100 })).rejects.toMatchObject({ name });
  });

  it('says every way that was tried', async () => {
    const address = {
      ...server.address,
      socketPath: join(directory, 'gone.sock'),
      tcp: { host: '127.0.0.1', port: 1 },
    };
    await expect(open({ address })).rejects.toThrow(
      /gone\.sock: .*ENOENT.*; 127\.0\.0\.1:1: .*ECONNREFUSED/,
    );
    const nowhere = { ...server.address, machineId: 'other' };
    await expect(open({ address: nowhere })).rejects.toThrow(
      /no address that can be used from here/,
    );
  });
});
