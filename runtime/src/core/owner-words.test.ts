import { randomFillSync } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { createIdMint } from '../ids.ts';
import { PeerConnection } from '../rpc/peer-connection.ts';
import { AskedChannel } from '../testing/asked-channel.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { HeardWords, OwnerWords, WORD, type Word } from './owner-words.ts';

const mintId = createIdMint((bytes) => randomFillSync(bytes));
const [id, otherId] = [mintId('object'), mintId('object')];
const [owner, borrower, otherBorrower] = [
  mintId('process'),
  mintId('process'),
  mintId('process'),
] as const;

let clock: ManualClock;
let channels: AskedChannel[];
let current: PeerConnection | undefined;
let isOwnerGone: boolean;
let told: string[];
let words: OwnerWords;

beforeEach(() => {
  clock = new ManualClock();
  channels = [];
  current = undefined;
  isOwnerGone = false;
  told = [];
  let number = 0;
  words = new OwnerWords({
    clock,
    connect: () => {
      if (isOwnerGone) return Promise.reject(new Error('nobody there'));
      if (current === undefined || current.closed) {
        channels.push(new AskedChannel(owner));
        current = new PeerConnection(channels.at(-1) as AskedChannel);
      }
      return Promise.resolve(current);
    },
    addressOf: () => null,
    nextNumber: () => ++number,
    onHeard: () => told.push('heard'),
    onOwnerGone: () => told.push('gone'),
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Number and words of the records on the connection opened as number `index`. */
const recordsOn = (index: number): unknown[] =>
  (channels[index]?.sent ?? []).map(([, , number, said]) => [number, said]);

async function acknowledge(): Promise<void> {
  channels.at(-1)?.acknowledge();
  await turn();
}

async function breakConnection(): Promise<void> {
  channels.at(-1)?.break();
  await turn();
}

describe('words to an owner', () => {
  it('go together when they are said in one turn, in their order', async () => {
    words.holds(id);
    words.holds(otherId);
    words.passedOn(id, borrower);
    words.passedOn(otherId, borrower);
    words.passedOn(id, otherBorrower);
    words.released([id, 1]);
    words.freed(id);
    words.freed(otherId);
    words.holds(id);
    await turn();
    const said: Word[] = [
      [WORD.holds, [id, otherId]],
      [WORD.passedOn, [id, otherId], borrower, null],
      [WORD.passedOn, [id], otherBorrower, null],
      [WORD.released, [[id, 1]]],
      [WORD.freed, [id, otherId]],
      [WORD.holds, [id]],
    ];
    expect(recordsOn(0)).toEqual([[1, said]]);
    expect(words.isIdle).toBe(false);
    await acknowledge();
    expect([words.isIdle, told]).toEqual([true, ['heard']]);
  });

  it('wait for the answer to those before', async () => {
    words.holds(id);
    await turn();
    words.released([id, 0]);
    await turn();
    expect(recordsOn(0)).toHaveLength(1);
    await acknowledge();
    expect(recordsOn(0)[1]).toEqual([2, [[WORD.released, [[id, 0]]]]]);
    expect(told).toEqual([]);
  });

  it('are said again, with the same number, on the connection after a broken one', async () => {
    words.holds(id);
    await turn();
    words.released([id, 0]);
    await breakConnection();
    expect(recordsOn(1)).toEqual(recordsOn(0));
    await acknowledge();
    expect(recordsOn(1)[1]).toEqual([2, [[WORD.released, [[id, 0]]]]]);
  });

  it('are said at growing intervals while connections break', async () => {
    words.holds(id);
    await turn();
    await breakConnection();
    await breakConnection();
    expect(channels).toHaveLength(2);
    clock.advance(100);
    await turn();
    await breakConnection();
    clock.advance(199);
    await turn();
    expect(channels).toHaveLength(3);
    clock.advance(1);
    await turn();
    expect(recordsOn(3)).toEqual(recordsOn(0));
    await acknowledge();
    expect(told).toEqual(['heard']);
  });

  it('end with the owner', async () => {
    words.holds(id);
    await turn();
    isOwnerGone = true;
    await breakConnection();
    expect([words.isIdle, told]).toEqual([true, ['gone']]);
  });

  it('are split into records of ten thousand refs', async () => {
    for (let index = 0; index < 25_000; index += 1) words.holds(id);
    await turn();
    await acknowledge();
    await acknowledge();
    const sizes = recordsOn(0).map((record) =>
      (record as [number, Word[]])[1].map(([, about]) => about.length),
    );
    expect(sizes).toEqual([[10_000], [10_000], [5_000]]);
  });
});

describe('the ear of an owner', () => {
  it('takes a record once, also one that comes late over an old connection', () => {
    const heard = new HeardWords();
    expect([1, 1, 2, 1, 2, 3].map((number) => heard.isNew(borrower, number))).toEqual([
      true,
      false,
      true,
      false,
      false,
      true,
    ]);
    expect(heard.isNew(otherBorrower, 1)).toBe(true);
  });
});
