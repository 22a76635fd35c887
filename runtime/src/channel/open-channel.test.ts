import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MantaError } from '../errors/errors.ts';
import { createIdMint } from '../ids.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryBus } from '../transport/memory-bus.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { openChannel } from './open-channel.ts';
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

interface Bus {
  bus: MemoryBus;
  clock: ManualClock;
}

const busOf = (): Bus => {
  const clock = new ManualClock();
  return { bus: new MemoryBus({ clock }), clock };
};

function failureOf(ways: Partial<ProcessAddress>, { bus }: Bus = busOf()): Promise<unknown> {
  const transport = bus.connect({ name: 'caller' });
  return openChannel(
    { ...base, ...ways },
    {
      self: { processId: mintId('process'), role: 'driver' },
      machineId: 'm',
      token: 'the-token',
      timeoutMs: 1_000,
      nats: { transport: () => Promise.resolve(transport), subject: 'channel' },
    },
  ).then(
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
