import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { ObjectRef } from '@manta/runtime/objects/object-ref';
import { Payload } from '@manta/runtime/objects/payload';
import { RECORD } from '@manta/runtime/rpc/records';
import { createValueCodec, type EncodedParts } from '@manta/runtime/serialization/value-codec';
import { describe, expect, it } from 'vitest';
import type { IncomingCall } from './incoming-call.ts';
import { IdempotencyTable } from './idempotency-table.ts';

type FakeCall = IncomingCall & { answers: unknown[][] };

/** What it stands for takes so many bytes: nothing that large is made. */
class Large {
  readonly sizeBytes: number;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }
}

/** As much of a call as the table touches, with what it answered. */
function callOf(number: number, idempotencyKey: string, isRetry = false): FakeCall {
  const answers: unknown[][] = [];
  const call = {
    ...{ number, idempotencyKey, isRetry, answers },
    cancelled: false,
    sendAnswer: (record: unknown[]) => void answers.push(record),
    replyOrFail: (value: unknown) => void answers.push([RECORD.result, number, value]),
  };
  return call as unknown as FakeCall;
}
const noRun = (): never => {
  throw new Error('nothing should run instead');
};

function createTable(): IdempotencyTable {
  const codec = createValueCodec({ revive: () => undefined });
  const core = {
    codec: {
      encodeParts: (value: unknown, path: string): EncodedParts =>
        value instanceof Large
          ? { parts: [], sizeBytes: value.sizeBytes, transferables: [] }
          : codec.encodeParts(value, path),
    },
    values: {
      keepEncoded: ({ parts, transferables }: EncodedParts) =>
        new Payload(Buffer.concat(parts), transferables),
    },
    owned: { keep: (ref: ObjectRef<unknown>, kept: Payload) => ref.resolve(kept) },
    decode: ({ bytes }: Payload) => (bytes.byteLength === 0 ? undefined : codec.decode(bytes)),
  };
  return new IdempotencyTable(core as unknown as CoreProcess);
}

describe('idempotency table', () => {
  it('lets the first call run; those meanwhile and afterwards get their own copy of what it returned', () => {
    const table = createTable();
    const [first, meanwhile, after] = [callOf(1, 'k'), callOf(2, 'k'), callOf(3, 'k')];
    const value = { list: [1, 2] };
    expect(table.enter(first, noRun)).toBe(true);
    expect(table.enter(meanwhile, noRun)).toBe(false);
    expect(meanwhile.answers).toEqual([]);
    first.keeper?.returned(value);
    value.list.push(3);
    expect(meanwhile.answers).toEqual([[RECORD.result, 2, { list: [1, 2] }]]);
    expect(table.enter(after, noRun)).toBe(false);
    expect(after.answers).toEqual([[RECORD.result, 3, { list: [1, 2] }]]);
    expect(after.answers[0]?.[2]).not.toBe(meanwhile.answers[0]?.[2]);
    expect(meanwhile.answers).toHaveLength(1);
  });

  it('repeats what a call failed with, and runs again for who tries again', () => {
    const table = createTable();
    const [first, meanwhile, after] = [callOf(1, 'k'), callOf(2, 'k'), callOf(3, 'k')];
    table.enter(first, noRun);
    table.enter(meanwhile, noRun);
    const error = new Uint8Array([1, 2, 3]);
    first.keeper?.failed(error);
    expect(table.enter(after, noRun)).toBe(false);
    expect(meanwhile.answers).toEqual([[RECORD.failure, 2, error]]);
    expect(after.answers).toEqual([[RECORD.failure, 3, error]]);
    const [retry, otherRetry] = [callOf(4, 'k', true), callOf(5, 'k', true)];
    expect(table.enter(retry, noRun)).toBe(true);
    expect(table.enter(otherRetry, noRun)).toBe(false);
    retry.keeper?.returned('value');
    expect(otherRetry.answers).toEqual([[RECORD.result, 5, 'value']]);
    expect(table.enter(callOf(6, 'k', true), noRun)).toBe(false);
  });

  it('keeps what was returned, whether or not its caller could be given it', () => {
    const table = createTable();
    const [first, after] = [callOf(1, 'k'), callOf(2, 'k')];
    table.enter(first, noRun);
    first.keeper?.returned('value');
    first.keeper?.failed(new Uint8Array());
    table.enter(after, noRun);
    expect(after.answers).toEqual([[RECORD.result, 2, 'value']]);
  });

  it('keeps keys apart', () => {
    const table = createTable();
    expect(
      [callOf(1, 'a'), callOf(2, 'b'), callOf(3, '')].map((call) => table.enter(call, noRun)),
    ).toEqual([true, true, true]);
  });

  it('lets another one run when the first was cancelled before it ran', () => {
    const table = createTable();
    const [first, second, third] = [callOf(1, 'k'), callOf(2, 'k'), callOf(3, 'k')];
    second.cancelled = true;
    const instead: IncomingCall[] = [];
    for (const call of [first, second, third]) table.enter(call, (other) => instead.push(other));
    first.keeper?.skipped();
    expect(instead).toEqual([third]);
    expect(table.enter(third, noRun)).toBe(true);
  });

  it('forgets the oldest key that has an outcome when there are too many, never one that runs', () => {
    const table = createTable();
    const running = callOf(0, 'running');
    table.enter(running, noRun);
    const entered: boolean[] = [];
    for (let index = 1; index <= 10_000; index += 1) {
      const call = callOf(index, `key ${index}`);
      entered.push(table.enter(call, noRun));
      call.keeper?.returned(index);
    }
    expect(entered).not.toContain(false);
    expect(table.enter(callOf(1, 'key 1'), noRun)).toBe(true);
    expect(table.enter(callOf(1, 'key 5000'), noRun)).toBe(false);
    expect(table.enter(callOf(1, 'running'), noRun)).toBe(false);
  });

  it('forgets the oldest outcomes when they are too large, never the newest', () => {
    const table = createTable();
    const runs = (key: string): boolean => table.enter(callOf(1, key), noRun);
    const keep = (key: string, bytes: number): void => {
      const call = callOf(0, key);
      table.enter(call, noRun);
      call.keeper?.returned(new Large(bytes));
    };
    const MEBIBYTE = 1024 * 1024;
    for (const key of ['a', 'b', 'c']) keep(key, 100 * MEBIBYTE);
    expect([runs('b'), runs('c')]).toEqual([false, false]);
    expect(runs('a')).toBe(true);
    keep('d', 300 * MEBIBYTE);
    expect(runs('d')).toBe(false);
    expect([runs('b'), runs('c')]).toEqual([true, true]);
  });
});
