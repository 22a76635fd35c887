import { beforeEach, describe, expect, it } from 'vitest';
import { collectGarbage } from '../core/garbage.ts';
import type { AnyObjectRef, RefOwnerRuntime } from '../objects/object-ref.ts';
import { TaskWaits } from '../tasks/task-waits.ts';
import { ObjectRefStream } from './object-ref-stream.ts';
import { OpenStreams } from './open-streams.ts';
import { StreamBuffer } from './stream-buffer.ts';

let disposed: unknown[];
let granted: number[];
let cancels: number;
let notedHeld: number;
let runtime: RefOwnerRuntime;
let buffer: StreamBuffer;

beforeEach(() => {
  [disposed, granted, cancels, notedHeld] = [[], [], 0, 0];
  runtime = {
    waits: new TaskWaits(),
    streams: new OpenStreams(() => (notedHeld += 1)),
    dispose: (ref: AnyObjectRef) => void disposed.push(ref.content),
  } as unknown as RefOwnerRuntime;
  const source = {
    grant: (items: number) => void granted.push(items),
    cancel: () => {
      cancels += 1;
      buffer.finish({ error: new Error('cancelled') });
    },
  };
  buffer = new StreamBuffer(runtime, source, 4);
});

const openStream = (): ObjectRefStream<number> => new ObjectRefStream<number>(buffer);
const iterate = (): AsyncIterator<number> => openStream()[Symbol.asyncIterator]();
const pushAll = (...values: number[]): void => values.forEach((value) => buffer.push(value));
const over = { done: true, value: undefined };
const item = (value: number): IteratorResult<number> => ({ done: false, value });

describe('items', () => {
  it('are given in the order in which they were asked for, also before they are there', async () => {
    const iterator = iterate();
    const results = [iterator.next(), iterator.next(), iterator.next(), iterator.next()];
    pushAll(1);
    pushAll(2, 3);
    buffer.finish();
    expect(await Promise.all(results)).toEqual([item(1), item(2), item(3), over]);
  });

  it('go to one of several iterators each, and the end to all', async () => {
    const stream = openStream();
    const [one, other] = [stream[Symbol.asyncIterator](), stream[Symbol.asyncIterator]()];
    const results = [one.next(), other.next(), one.next()];
    pushAll(1, 2, 3, 4);
    expect(await Promise.all(results)).toEqual([item(1), item(2), item(3)]);
    expect(await other.next()).toEqual(item(4));
    const ends = [one.next(), other.next()];
    buffer.finish();
    expect(await Promise.all(ends)).toEqual([over, over]);
  });

  it('come before the error, which only the first that meets it gets', async () => {
    const iterator = iterate();
    pushAll(1);
    const results = [iterator.next(), iterator.next(), iterator.next()];
    buffer.finish({ error: new RangeError('broke') });
    expect(await Promise.allSettled(results)).toMatchObject([
      { value: item(1) },
      { reason: { message: 'broke' } },
      { value: over },
    ]);
  });

  it('let the producer go on as they are read, by whoever waited for them too', async () => {
    const iterator = iterate();
    const first = iterator.next();
    pushAll(1, 2, 3);
    await first;
    expect(granted).toEqual([]);
    await iterator.next();
    expect(granted).toEqual([2]);
  });
});

describe('what nobody reads', () => {
  it('is freed and its call cancelled when the loop is left; who waits meanwhile learns of the end', async () => {
    const stream = openStream();
    const waiting = stream[Symbol.asyncIterator]();
    pushAll(1);
    await waiting.next();
    const next = waiting.next();
    pushAll(2, 3, 4);
    for await (const value of stream) if (value === 3) break;
    expect(await next).toEqual(item(2));
    expect([cancels, disposed, runtime.streams.size]).toEqual([1, [4], 0]);
    expect(await waiting.next()).toEqual(over);
  });

  it('is freed when the call is over already', async () => {
    const stream = openStream();
    pushAll(1, 2, 3);
    buffer.finish({ error: new Error('at its end') });
    for await (const value of stream) if (value === 1) break;
    expect([cancels, disposed]).toEqual([0, [2, 3]]);
    for await (const value of stream) expect.fail(`there is ${value} still`);
  });

  it('is freed when the stream is disposed of', async () => {
    let next: Promise<IteratorResult<number>>;
    {
      using stream = openStream();
      next = stream[Symbol.asyncIterator]().next();
    }
    expect(await next).toEqual(over);
    expect(cancels).toBe(1);
  });

  it('stays when a finished call is cancelled', async () => {
    const stream = openStream();
    pushAll(1);
    buffer.finish();
    stream.cancel();
    expect(await stream[Symbol.asyncIterator]().next()).toEqual(item(1));
    expect(cancels).toBe(0);
  });
});

describe('a stream that was let go of', () => {
  it('cancels its call, once it is collected', async () => {
    openStream();
    pushAll(1, 2);
    expect([runtime.streams.size, notedHeld]).toEqual([1, 1]);
    await collectGarbage();
    expect([cancels, disposed, runtime.streams.size]).toEqual([1, [1, 2], 0]);
  });

  it.each([
    ['iterators', iterate],
    ['refs', () => openStream().refs()],
  ])('stays as long as one of its %s does', async (_what, open) => {
    const kept: unknown[] = [open()];
    await collectGarbage();
    expect(cancels).toBe(0);
    kept.pop();
    await collectGarbage();
    expect(cancels).toBe(1);
  });

  it('stays while somebody waits for its next item', async () => {
    const first = iterate().next();
    await collectGarbage();
    expect(cancels).toBe(0);
    pushAll(1);
    expect(await first).toEqual(item(1));
    await collectGarbage();
    expect(cancels).toBe(1);
  });

  it('stays as long as another one is there for the same call', async () => {
    const kept = [openStream(), openStream()];
    kept.pop();
    await collectGarbage();
    expect([cancels, runtime.streams.size]).toEqual([0, 1]);
    kept.pop();
    await collectGarbage();
    expect(cancels).toBe(1);
  });

  it('needs nothing when its call is over', async () => {
    openStream();
    pushAll(1);
    buffer.finish();
    expect(runtime.streams.size).toBe(0);
    openStream();
    expect([runtime.streams.size, notedHeld]).toEqual([0, 1]);
    await collectGarbage();
    expect([cancels, disposed]).toEqual([0, []]);
  });
});
