import { randomBytes, randomFillSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { join } from 'node:path';
import { encodeFrame, FrameReader } from '@manta/runtime/channel/frame';
import { answerFor, createHello } from '@manta/runtime/channel/handshake';
import { createIdMint } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { actorIdOf, get, init, shutdown, type ActorHandle } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CounterActor, type Counter } from './fixtures/actors.ts';
import { alive, processTree, sessionsOf } from './fixtures/process-tree.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
let cluster: TestCluster;
let token: string;
let counters: ActorHandle<Counter>[];
let calls = 0;
let pids: number[];
let rssBytesBefore: number;

/** Every door: the sockets of agent, hosts and driver, and the broker's port. */
let doors: NetConnectOpts[];
let socketPaths: string[];

const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);

beforeAll(async () => {
  cluster = await startTestCluster();
  const address = new URL(cluster.address);
  token = decodeURIComponent(address.username);
  await init({ address: cluster.address, logToDriver: false });
  counters = (['process', 'thread', 'shared'] as const).map((isolation) =>
    CounterActor.options({ isolation }).create(),
  );
  await get(counters.map((counter) => counter.value()));
  socketPaths = sessionsOf(process.pid).flatMap((session) =>
    readdirSync(session, { recursive: true })
      .map((name) => join(session, String(name)))
      .filter((name) => name.endsWith('.sock')),
  );
  doors = [
    ...socketPaths.map((path) => ({ path })),
    { host: '127.0.0.1', port: Number(address.port) },
  ];
  const hostPids = await get(counters.map((counter) => counter.pid()));
  pids = [...new Set([...cluster.nodes.map((node) => node.pid), ...hostPids])];
  rssBytesBefore = rssBytes();
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
});

/** Of the cluster's processes: what they keep in memory. */
function rssBytes(): number {
  const tree = processTree(process.pid).filter((pid) => pid !== process.pid);
  return tree.reduce((sum, pid) => {
    try {
      return sum + Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096;
    } catch {
      return sum;
    }
  }, 0);
}

/** Nobody else notices: the same processes answer, over the same channels. */
async function expectUnharmed(): Promise<void> {
  calls += 1;
  expect(await get(counters.map((counter) => counter.add(1)))).toEqual([calls, calls, calls]);
  expect(alive(pids)).toEqual(pids);
}

async function open(where: NetConnectOpts): Promise<Socket> {
  const socket = connect(where);
  socket.on('error', () => undefined);
  await waitFor(() => !socket.connecting, { describe: 'a connection' });
  return socket;
}

/** Writes and waits until the door is shut, or everything has been taken. */
async function assault(where: NetConnectOpts, chunks: readonly Uint8Array[]): Promise<void> {
  const socket = await open(where);
  socket.resume();
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  for (const chunk of chunks) socket.write(chunk);
  await new Promise<void>((resolve) => socket.end(resolve)).catch(() => undefined);
  socket.destroy();
  await ended;
}

const frameOf = (kind: number, body: unknown): Buffer =>
  Buffer.concat(encodeFrame(kind as 0, body));
const rawFrame = (kind: number, body: Uint8Array, segments = 0): Buffer => {
  const bytes = Buffer.concat([
    Buffer.from([0, 0, 0, 0, 1, kind, segments & 255, segments >> 8]),
    body,
  ]);
  bytes.writeUInt32LE(bytes.length, 0);
  return bytes;
};
const nested = (depth: number): Buffer =>
  Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.of(0x90)]);

/** A peer that knows the token; gives its socket behind the handshake. */
async function insider(path: string): Promise<Socket> {
  const socket = await open({ path });
  const hello = createHello({ processId: mintId('process'), role: 'driver' });
  const answered = new Promise<void>((resolve) => {
    const reader = new FrameReader((frame) => {
      if (frame.kind !== 0) return;
      socket.write(frameOf(0, answerFor(frame.body, hello, token).answer), () => resolve());
    }, 1 << 20);
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch {
        // What comes after is not of interest.
      }
    });
  });
  socket.write(frameOf(0, hello));
  await answered;
  return socket;
}

async function asInsider(path: string, frames: readonly Uint8Array[]): Promise<void> {
  const socket = await insider(path);
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  for (const frame of frames) socket.write(frame);
  socket.end();
  await ended;
}

describe('a cluster under attack', () => {
  it('has the doors that the test knocks on', () => {
    // Agent, driver, hosts of the three isolations.
    expect(socketPaths.length).toBeGreaterThanOrEqual(5);
  });

  it('ignores random bytes at every door', async () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 2000 }), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(chunks, async (bytes) => {
        await Promise.all(doors.map((door) => assault(door, bytes)));
      }),
      { numRuns: 20 },
    );
    await expectUnharmed();
  });

  it('refuses oversized, nested, early, unknown and wrongly authenticated frames at every door', async () => {
    const hello = createHello({ processId: mintId('process'), role: 'driver' });
    const hostile = [
      [Buffer.from('ffffffff01000000', 'hex'), randomBytes(100_000)],
      [rawFrame(0, nested(4000))],
      [rawFrame(0, Buffer.from('ddffffffff', 'hex'))],
      [frameOf(1, [[RECORD.call, 1, 1, 0, []]])],
      [Buffer.from('0900000002000000c0', 'hex')],
      [frameOf(0, hello), frameOf(0, { proof: Buffer.alloc(32) })],
      [frameOf(0, hello), frameOf(1, [[RECORD.call, 1, 1, 0, []]])],
      [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
      [Buffer.from(`CONNECT {"auth_token":"wrong"}\r\nPUB manta.head 5\r\nhello\r\n`)],
      [Buffer.from(`CONNECT {"a":${'['.repeat(100_000)}`)],
    ];
    for (const chunks of hostile) await Promise.all(doors.map((door) => assault(door, chunks)));
    await expectUnharmed();
  });

  it('goes on when one who knows the token sends garbage records', async () => {
    const scalar = fc.oneof(
      fc.nat(20),
      fc.constantFrom(null, -1, 1e300, true, 'length', '__proto__', ''),
      fc.uint8Array({ maxLength: 20 }),
    );
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        scalar,
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.string({ maxLength: 3 }), tie('value'), { maxKeys: 2 }),
      ),
    }));
    const ids = counters.map((counter) => actorIdOf(counter));
    const openPorts = [
      [RECORD.open, 1, ids[0], 0],
      [RECORD.open, 2, ids[1], 0],
      [RECORD.open, 3, ids[2], 0],
    ];
    const record = fc
      .tuple(fc.nat(20), fc.nat(3), fc.array(value, { maxLength: 6 }))
      .map(([kind, port, rest]) => [kind, port, ...rest]);
    // A method number beyond the table: what it refers to is never run.
    const call = fc
      .tuple(fc.nat(3), fc.nat(5), value, fc.array(value, { maxLength: 3 }), value, value)
      .map(([port, number, method, args, options, segment]) => [
        RECORD.call,
        port,
        number,
        typeof method === 'number' ? method + 1000 : method,
        args,
        options,
        segment,
      ]);
    const records = fc.array(fc.oneof(record, call), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(records, async (garbage) => {
        await Promise.all(
          socketPaths.map((path) => asInsider(path, [frameOf(1, openPorts), frameOf(1, garbage)])),
        );
      }),
      { numRuns: 40 },
    );
    await expectUnharmed();
  });

  it('goes on when one who knows the token sends frames that lie', async () => {
    const lies = [
      rawFrame(1, nested(5_000_000)),
      rawFrame(
        1,
        Buffer.concat(Array.from({ length: 5000 }, () => Buffer.from('dd00ffffff', 'hex'))),
      ),
      rawFrame(1, Buffer.from('90'), 4000),
      Buffer.concat([Buffer.from('0000000701010000', 'hex'), randomBytes(1000)]),
      frameOf(1, { not: 'a list' }),
      frameOf(1, [1, 2, 3]),
      frameOf(4, { name: 'AuthenticationError', message: 'you are refused' }),
      frameOf(0, createHello({ processId: mintId('process'), role: 'agent' })),
    ];
    warn.mockClear();
    for (const lie of lies) await Promise.all(socketPaths.map((path) => asInsider(path, [lie])));
    // The driver is one of those that were lied to, and says so; lies that only end a channel are not worth a word.
    expect(warn.mock.calls.length).toBeGreaterThan(0);
    expect(String(warn.mock.calls[0]?.[0])).toMatch(/a channel was refused/);
    await expectUnharmed();
  });

  it('keeps its memory', async () => {
    await waitFor(() => rssBytes() < rssBytesBefore + 256 * 2 ** 20, {
      describe: 'bounded memory',
    });
    expect(alive(pids)).toEqual(pids);
  });
});
