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

  receive(record: ChannelRecord): void {
    this.arrive(record);
  }
}

/** An actor that lets its calls wait, and a caller with a port to it. */
function createServer() {
  const channel = new CallerChannel('p_caller' as ProcessId);
  const core = { objects: { peerLost: () => undefined } } as unknown as CoreProcess;
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

describe('a caller that is gone', () => {
  it('has its calls cancelled, also those that came in the turn in which it went', async () => {
    const { channel, calls } = createServer();
    channel.receive([RECORD.call, 1, 1, 0, []]);
    await new Promise((resolve) => setImmediate(resolve));
    channel.receive([RECORD.call, 1, 2, 0, []]);
    channel.break();
    expect(calls.map(({ cancelled }) => cancelled)).toEqual([true, true]);
  });
});
