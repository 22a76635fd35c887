import type { ChannelRecord } from '@manta/runtime/channel/channel';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { ProcessId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import { FakeChannel } from '@manta/runtime/testing/fake-channel';
import { describe, expect, it } from 'vitest';
import type { CallHost } from './call-host.ts';
import { CallServer } from './call-server.ts';
import type { IncomingCall } from './incoming-call.ts';
import { DEFAULT_GROUP } from './mailbox.ts';

class CallerChannel extends FakeChannel {
  readonly sent: ChannelRecord[] = [];

  send(record: ChannelRecord): void {
    this.sent.push(record);
  }

  isPaused = false;

  override pause(): void {
    this.isPaused = true;
  }

  override resume(): void {
    this.isPaused = false;
  }

  receive(record: ChannelRecord): void {
    this.arrive(record);
  }
}

/** An actor that lets its calls wait, and a caller with a port to it. */
function createServer() {
  const channel = new CallerChannel('p_caller' as ProcessId);
  const core = {
    clock: { now: () => 0 },
    objects: { peerLost: () => undefined },
  } as unknown as CoreProcess;
  const calls: IncomingCall[] = [];
  const instance = {
    spec: { className: 'Sleeper' },
    methodName: () => 'sleep',
    groupOf: () => DEFAULT_GROUP,
    receive: (call: IncomingCall) => void calls.push(call),
  } as unknown as CallHost;
  new CallServer(channel, core, { find: () => instance });
  channel.receive([RECORD.open, 1, 'a_sleeper', 0, null]);
  return { channel, calls };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a caller that is gone', () => {
  it('has its calls cancelled, also those that came in the turn in which it went', async () => {
    const { channel, calls } = createServer();
    channel.receive([RECORD.call, 1, 1, 0, []]);
    await turn();
    channel.receive([RECORD.call, 1, 2, 0, []]);
    channel.break();
    expect(calls.map(({ cancelled }) => cancelled)).toEqual([true, true]);
  });
});

describe('a caller that is far ahead', () => {
  const LARGE_BYTES = 100 * 1024 * 1024;

  /** Three calls with more bytes than may wait. An engine keeps each text as one short piece. */
  async function createFull() {
    const server = createServer();
    for (const number of [1, 2, 3])
      server.channel.receive([RECORD.call, 1, number, 0, [number, 'x'.repeat(LARGE_BYTES)]]);
    await expect.poll(() => server.channel.isPaused).toBe(true);
    return server;
  }

  it('is not read from until half of what its calls brought has started, or was cancelled', async () => {
    const { channel, calls } = await createFull();
    expect(calls[0]?.takeArguments()).toHaveLength(2);
    expect(channel.isPaused).toBe(true);
    calls[1]?.cancel(new Error('enough'));
    expect(channel.isPaused).toBe(false);
  });

  it('is read from while it reads a stream, whose credit must arrive', async () => {
    const { channel, calls } = await createFull();
    const [streaming] = calls as [IncomingCall];
    streaming.onCredit = () => undefined;
    streaming.startStream();
    expect(channel.isPaused).toBe(false);
    channel.receive([RECORD.call, 1, 4, 0, ['x'.repeat(LARGE_BYTES)]]);
    await turn();
    expect(channel.isPaused).toBe(false);
    streaming.endStream();
    channel.receive([RECORD.call, 1, 5, 0, []]);
    await turn();
    expect(channel.isPaused).toBe(true);
  });

  it('does not count what starts at once', async () => {
    const { channel, calls } = createServer();
    for (const number of [1, 2, 3]) {
      channel.receive([RECORD.call, 1, number, 0, ['x'.repeat(LARGE_BYTES)]]);
      (calls.at(-1) as IncomingCall).running = true;
    }
    await turn();
    expect(channel.isPaused).toBe(false);
  });
});
