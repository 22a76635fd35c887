import { randomFillSync } from 'node:crypto';
import { linkSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MantaError } from '../errors/errors.ts';
import { createIdMint } from '../ids.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryBus } from '../transport/memory-bus.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { listenChannels } from './channel-server.ts';
import { FrameChannel } from './frame-channel.ts';
import { openChannel, type OpenOptions } from './open-channel.ts';
import { ProcessGoneError } from './process-gone.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const processId = mintId('process');
const base: ProcessAddress = { processId, machineId: 'm', socketPath: undefined, tcp: undefined };

let directory: string;
let closedPort: number;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'manta-open-'));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closedPort = (server.address() as AddressInfo).port;
  await new Promise((resolve) => server.close(resolve));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A socket that was left behind: the kernel refuses whoever connects. */
async function abandonedSocket(): Promise<string> {
  const [path, abandoned] = ['bound.sock', 'abandoned.sock'].map((name) => join(directory, name));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  renameSync(path as string, abandoned as string);
  await new Promise((resolve) => server.close(resolve));
  return abandoned as string;
}

interface Bus {
  bus: MemoryBus;
  clock: ManualClock;
}

const busOf = (): Bus => {
  const clock = new ManualClock();
  return { bus: new MemoryBus({ clock }), clock };
};

const options = (): OpenOptions => ({
  self: { processId: mintId('process'), role: 'driver' },
  machineId: 'm',
  token: 'the-token',
  timeoutMs: 1_000,
});

function failureOf(ways: Partial<ProcessAddress>, { bus }: Bus = busOf()): Promise<unknown> {
  const transport = bus.connect({ name: 'caller' });
  const nats = { transport: () => Promise.resolve(transport), subject: 'channel' };
  return openChannel({ ...base, ...ways }, { ...options(), nats }).then(
    () => expect.unreachable('there is nobody'),
    (error: unknown) => error,
  );
}

describe('a process that cannot be reached', () => {
  it.each([
    [
      'its machine refuses, and it is not on the bus',
      () => ({ tcp: { host: '127.0.0.1', port: closedPort } }),
    ],
    [
      'its socket was removed, and it is not on the bus',
      () => ({ socketPath: join(directory, 'gone.sock') }),
    ],
  ])('is gone when %s', async (_, ways) => {
    expect(await failureOf(ways())).toBeInstanceOf(ProcessGoneError);
  });

  it('may be back when its socket is on another file system, or it was only on the bus', async () => {
    for (const ways of [{ socketPath: join(directory, 'of-others', 'x.sock') }, {}]) {
      const failure = await failureOf(ways);
      expect(failure).not.toBeInstanceOf(ProcessGoneError);
      expect(MantaError.is(failure, 'ClusterUnavailableError')).toBe(true);
    }
  });

  it('may be back when it only does not answer on the bus', async () => {
    const world = busOf();
    world.bus.connect({ name: 'owner' }).subscribe('channel', () => undefined);
    const failure = failureOf({ tcp: { host: '127.0.0.1', port: closedPort } }, world);
    await expect.poll(() => world.clock.pendingTimers).toBe(1);
    world.clock.advance(1_000);
    expect(await failure).not.toBeInstanceOf(ProcessGoneError);
  });
});

describe('a socket that refuses', () => {
  const opening = (socketPath: string, changes: Partial<OpenOptions>): Promise<unknown> =>
    openChannel({ ...base, socketPath }, { ...options(), ...changes }).catch(
      (error: unknown) => error,
    );

  it('is tried again on macOS, where its listener may only have too many to take', async () => {
    const server = await listenChannels({
      processId,
      role: 'host',
      machineId: 'm',
      token: 'the-token',
      socketDirectory: directory,
      onChannel: () => undefined,
    });
    const outcomes = [
      ['darwin', FrameChannel],
      ['linux', ProcessGoneError],
    ] as const;
    for (const [platform, outcome] of outcomes) {
      const socketPath = await abandonedSocket();
      const opened = opening(socketPath, { platform });
      // The kernel has refused the first time by now.
      linkSync(server.address.socketPath as string, `${socketPath}.new`);
      renameSync(`${socketPath}.new`, socketPath);
      expect(await opened).toBeInstanceOf(outcome);
      rmSync(socketPath);
    }
    await server.close();
  });

  it('is of a process that is gone when it goes on refusing, or is removed', async () => {
    const socketPath = await abandonedSocket();
    const platform = 'darwin';
    expect(await opening(socketPath, { platform, timeoutMs: 100 })).toBeInstanceOf(
      ProcessGoneError,
    );
    const opened = opening(socketPath, { platform, timeoutMs: 60_000 });
    rmSync(socketPath);
    expect(await opened).toBeInstanceOf(ProcessGoneError);
  });
});
