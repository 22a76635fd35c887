import { randomFillSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { createIdMint } from '../ids.ts';
import { FrameChannel } from './frame-channel.ts';
import { FRAME_KIND, FrameReader, type Frame } from './frame.ts';
import type { Pipe } from './pipe.ts';

const MIB = 1024 * 1024;
const peer = { processId: createIdMint(randomFillSync)('process'), role: 'host' as const };

/** Notes the length of each frame. */
function collectingPipe(): { pipe: Pipe; frames: number[] } {
  const frames: number[] = [];
  const ignored = (): void => undefined;
  const pipe: Pipe = {
    write: (buffers) => void frames.push(buffers.reduce((sum, { length }) => sum + length, 0)),
    onData: ignored,
    onClose: ignored,
    pause: ignored,
    resume: ignored,
    end: ignored,
    destroy: ignored,
    unref: ignored,
  };
  return { pipe, frames };
}

it('sends a frame before the turn ends when its records have become large', async () => {
  const { pipe, frames } = collectingPipe();
  const channel = new FrameChannel(
    pipe,
    peer,
    new FrameReader(() => undefined, MIB),
    () => undefined,
  );
  const record = [1, Array.from({ length: 20 }, () => new Uint8Array(10_000))];
  for (let sent = 0; sent < 200; sent += 1) channel.send(record);
  await new Promise((resolve) => setImmediate(resolve));
  expect(frames.length).toBeGreaterThan(10);
  expect(Math.max(...frames)).toBeLessThan(1.5 * MIB);
});

it('writes a record of bytes as if it were sent as lists', () => {
  const bytesOf = (send: (channel: FrameChannel) => void): string => {
    const written: Uint8Array[] = [];
    const pipe = {
      ...collectingPipe().pipe,
      write: (buffers: Uint8Array[]) => written.push(...buffers),
    };
    const reader = new FrameReader(() => undefined, MIB);
    const channel = new FrameChannel(pipe as unknown as Pipe, peer, reader, () => undefined);
    send(channel);
    channel.close();
    return Buffer.concat(written).toString('hex');
  };
  const number = fc.oneof(fc.nat(300), fc.nat(2 ** 32 - 1), fc.constant(2 ** 40));
  const bytes = fc.oneof(fc.uint8Array(), fc.uint8Array({ minLength: 250, maxLength: 1_100 }));
  const calls = fc.array(fc.tuple(fc.nat(127), number, bytes, fc.boolean()), { minLength: 1 });
  fc.assert(
    fc.property(calls, (all) => {
      const direct = bytesOf((channel) => {
        for (const call of all) channel.sendBytes(...call);
      });
      const asLists = bytesOf((channel) => {
        for (const [kind, count, value, isBuffer] of all)
          channel.send([kind, count, isBuffer ? [value, 1] : [value]]);
      });
      expect(direct).toBe(asLists);
    }),
  );
});

describe('flushed()', () => {
  let whenWritten: (() => void) | undefined;
  let bytes: number;
  let end: () => void;
  let isFlushed: boolean;

  beforeEach(() => {
    bytes = 0;
    isFlushed = false;
    const pipe: Pipe = {
      ...collectingPipe().pipe,
      write(buffers, tell) {
        for (const { length } of buffers) bytes += length;
        whenWritten = tell;
      },
      onClose: (listener) => {
        end = () => listener(undefined);
      },
    };
    const reader = new FrameReader(() => undefined, MIB);
    const channel = new FrameChannel(pipe, peer, reader, () => undefined);
    channel.send([1, 'the last answer']);
    void channel.flushed().then(() => (isFlushed = true));
  });

  it('writes what waits, and resolves not before it is out', async () => {
    expect(bytes).toBeGreaterThan(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isFlushed).toBe(false);
  });

  it('resolves when the pipe has let everything out', async () => {
    whenWritten?.();
    await Promise.resolve();
    expect(isFlushed).toBe(true);
  });

  it('resolves when the channel closes', async () => {
    end();
    await Promise.resolve();
    expect(isFlushed).toBe(true);
  });
});

describe('frames that come in one chunk', () => {
  const frameOf = (...records: unknown[]): Frame => ({
    kind: FRAME_KIND.records,
    body: records,
    segments: [],
  });
  let end: () => void;
  let written: number;
  let broken: unknown[];
  let handled: unknown[];
  let channel: FrameChannel;

  beforeEach(() => {
    written = 0;
    broken = [];
    handled = [];
    const { pipe } = collectingPipe();
    const noting: Pipe = {
      ...pipe,
      write: () => void (written += 1),
      onClose: (listener) => {
        end = () => listener(undefined);
      },
    };
    const reader = new FrameReader(() => undefined, MIB);
    channel = new FrameChannel(noting, peer, reader, (error) => broken.push(error));
  });

  it('are handled in order, and what is answered asynchronously leaves frame by frame', async () => {
    const writtenBefore: number[] = [];
    channel.onRecord(([number]) => {
      writtenBefore.push(written);
      handled.push(number);
      void Promise.resolve().then(() => channel.send([number]));
    });
    for (const number of [1, 2, 3]) channel.receive(frameOf([number], [number]));
    await new Promise((resolve) => setImmediate(resolve));
    expect(handled).toEqual([1, 1, 2, 2, 3, 3]);
    expect(writtenBefore).toEqual([0, 0, 1, 1, 2, 2]);
    expect(written).toBe(3);
  });

  it('are all handled before the end of the connection is told', () => {
    channel.onRecord(([number]) => handled.push(number));
    channel.onClose(() => handled.push('end'));
    for (const number of [1, 2, 3]) channel.receive(frameOf([number]));
    end();
    expect(handled).toEqual([1, 2, 3, 'end']);
  });

  it('and before there was a handler, are handled once there is one', async () => {
    for (const number of [1, 2]) channel.receive(frameOf([number]));
    channel.onRecord(([number]) => handled.push(number));
    channel.receive(frameOf([3]));
    await Promise.resolve().then(() => undefined);
    expect(handled).toEqual([1, 2, 3]);
  });

  it('end with the first that is malformed, of which is told', async () => {
    channel.onRecord(([number]) => handled.push(number));
    for (const record of [[1], 'no record', [3]]) channel.receive(frameOf(record));
    await new Promise((resolve) => setImmediate(resolve));
    expect(handled).toEqual([1]);
    expect(broken).toMatchObject([{ name: 'ProtocolError' }]);
  });

  it('are not handled any more once the channel is closed', async () => {
    channel.onRecord(([number]) => {
      handled.push(number);
      channel.close();
    });
    for (const number of [1, 2]) channel.receive(frameOf([number]));
    await new Promise((resolve) => setImmediate(resolve));
    expect(handled).toEqual([1]);
  });
});
