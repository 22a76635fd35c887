import { randomFillSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ClusterUnavailableError, type MantaError } from '../errors/errors.ts';
import { createIdMint } from '../ids.ts';
import { FakeChannel } from '../testing/fake-channel.ts';
import { PeerConnection, type PendingReply } from './peer-connection.ts';
import { RECORD } from './records.ts';

class LostChannel implements Channel {
  readonly peer = { processId: createIdMint(randomFillSync)('process'), role: 'host' as const };
  end: (reason: MantaError) => void = () => undefined;

  onClose(listener: (reason: MantaError) => void): void {
    this.end = listener;
  }
  send(_record: ChannelRecord): void {}
  sendBytes(): void {}
  flush(): void {}
  onRecord(): void {}
  onSegment(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
}

class HostChannel extends FakeChannel {
  send(): void {}
  say(record: ChannelRecord): void {
    this.arrive(record);
  }
}

const reason = new ClusterUnavailableError('gone');

function replyTo(told: MantaError[]): PendingReply {
  const never = (): never => {
    throw new Error('nothing can come back');
  };
  return {
    onResult: never,
    onFailure: never,
    onStream: never,
    onItem: never,
    onEnd: never,
    onLost: (error) => told.push(error),
  };
}

describe('the word of an actor that its life has begun', () => {
  const heard: unknown[] = [];
  const channel = new HostChannel(createIdMint(randomFillSync)('process'));
  const connection = new PeerConnection(channel);
  connection.onBegun = (...word) => heard.push(word);

  it('goes to who wants to know', () => {
    const actorId = createIdMint(randomFillSync)('actor');
    channel.say([RECORD.begun, 0, actorId, 3]);
    expect(heard).toEqual([[actorId, 3]]);
  });

  it.each([
    ['of something that is no actor', ['p_0000000000000000', 3]],
    ['of no life', ['a_0000000000000000', 'first']],
  ])('%s is refused', (_what, fields) => {
    expect(() => channel.say([RECORD.begun, 0, ...fields])).toThrow(/malformed begun record/);
  });
});

describe('a connection that is lost', () => {
  const channel = new LostChannel();
  const connection = new PeerConnection(channel);
  channel.end(reason);

  it('tells who asks afterwards, but not before it has asked', async () => {
    const told: MantaError[] = [];
    connection.expect(replyTo(told));
    connection.expectAs(2 ** 30, replyTo(told));
    expect(told).toEqual([]);
    await Promise.resolve();
    expect(told).toEqual([reason, reason]);
    expect(connection.pendingCount).toBe(0);
  });

  it('tells nobody who has given up, or was taken back', async () => {
    const told: MantaError[] = [];
    connection.forget(connection.expect(replyTo(told)));
    const taken = replyTo(told);
    connection.expect(taken);
    const isTaken = (reply: PendingReply): reply is PendingReply => reply === taken;
    expect(connection.takeBack(isTaken)).toEqual([taken]);
    await Promise.resolve();
    expect(told).toEqual([]);
  });
});
