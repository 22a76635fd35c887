import { randomFillSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ChannelRecord } from '../channel/channel.ts';
import { OwnerDiedError } from '../errors/errors.ts';
import { createIdMint } from '../ids.ts';
import {
  ObjectRef,
  REF_STATE,
  type AnyObjectRef,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import { Payload } from '../objects/payload.ts';
import { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import { FakeChannel } from '../testing/fake-channel.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { ObjectFetcher } from './object-fetches.ts';

const mintId = createIdMint(randomFillSync);
const OWNER: ProcessAddress = {
  processId: mintId('process'),
  nodeId: undefined,
  machineId: 'm',
  socketPath: undefined,
  tcp: undefined,
};
/** What is due in this turn, and what that brings about. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class OwnerChannel extends FakeChannel {
  readonly sent: ChannelRecord[] = [];

  send(record: ChannelRecord): void {
    this.sent.push(record);
  }

  answer(index: number, value: unknown): void {
    const [, call] = this.sent[0] as ChannelRecord;
    this.arrive([RECORD.fetched, call, [[index, 0, value]]]);
  }
}

class Borrower {
  readonly clock = new ManualClock();
  readonly channels: OwnerChannel[] = [];
  isOwnerGone = false;
  calls = 0;
  readonly fetcher = new ObjectFetcher({
    clock: this.clock,
    connect: () => this.#connect(),
    receive: (value) => new Payload(value as Uint8Array),
    ownerDied: (_owner, cause) => new OwnerDiedError('gone', { cause }),
    callStarted: () => (this.calls += 1),
    callFinished: () => (this.calls -= 1),
  });

  #connect(): Promise<PeerConnection> {
    if (this.isOwnerGone) return Promise.reject(new Error('nobody listens'));
    const channel = new OwnerChannel(OWNER.processId);
    this.channels.push(channel);
    return Promise.resolve(new PeerConnection(channel));
  }

  get channel(): OwnerChannel {
    return this.channels.at(-1) as OwnerChannel;
  }

  async fetch(count: number): Promise<AnyObjectRef[]> {
    const refs = Array.from({ length: count }, () => {
      const ref: AnyObjectRef = new ObjectRef({} as RefOwnerRuntime);
      ref.objectId = mintId('object');
      ref.owner = OWNER;
      this.fetcher.fetch(ref);
      return ref;
    });
    await settle();
    return refs;
  }

  async breakConnection(): Promise<void> {
    this.channel.break();
    await settle();
  }
}

describe('a fetch whose connection breaks', () => {
  it('asks at once for what was not answered', async () => {
    const borrower = new Borrower();
    const [first, second] = await borrower.fetch(2);
    borrower.channel.answer(0, 'one');
    await borrower.breakConnection();
    expect(borrower.channels).toHaveLength(2);
    expect(borrower.channel.sent[0]?.[2]).toEqual([second?.id]);
    borrower.channel.answer(0, 'two');
    expect([first?.content, second?.content]).toEqual(['one', 'two']);
    expect(borrower.calls).toBe(0);
  });

  it('waits longer and longer when connections break soon, and ends with the reason', async () => {
    const borrower = new Borrower();
    const [ref] = await borrower.fetch(1);
    for (let lost = 0; lost < 6; lost += 1) {
      await borrower.breakConnection();
      borrower.clock.advance(2_000);
      await settle();
    }
    expect(borrower.channels).toHaveLength(6);
    expect(ref?.state).toBe(REF_STATE.failed);
    expect(ref?.content).toMatchObject({ name: 'ClusterUnavailableError', retryable: true });
    expect(String(ref?.content)).toContain(`Process ${OWNER.processId} is gone.`);
    expect(borrower.calls).toBe(0);
  });

  it('does not ask again before its pause is over', async () => {
    const borrower = new Borrower();
    await borrower.fetch(1);
    await borrower.breakConnection();
    await borrower.breakConnection();
    borrower.clock.advance(99);
    await settle();
    expect(borrower.channels).toHaveLength(2);
    borrower.clock.advance(1);
    await settle();
    expect(borrower.channels).toHaveLength(3);
  });

  it('goes on without end when connections last, or bring something', async () => {
    const borrower = new Borrower();
    const refs = await borrower.fetch(21);
    for (let lost = 0; lost < 20; lost += 1) {
      if (lost % 2 === 0) borrower.clock.advance(60_000);
      else borrower.channel.answer(0, 1);
      await borrower.breakConnection();
      borrower.clock.advance(0);
    }
    expect(refs.filter(({ state }) => state === REF_STATE.pending)).toHaveLength(11);
    expect(borrower.channels).toHaveLength(21);
  });

  it('ends at once when the owner is gone', async () => {
    const borrower = new Borrower();
    const [ref] = await borrower.fetch(1);
    borrower.isOwnerGone = true;
    await borrower.breakConnection();
    expect(ref?.content).toMatchObject({ name: 'OwnerDiedError' });
  });
});
