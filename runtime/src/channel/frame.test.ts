import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../wire/limits.ts';
import { encodeFrame, FRAME_KIND, FrameReader, type Frame } from './frame.ts';

const encoded = (body: unknown, segments?: Uint8Array[]): Buffer =>
  Buffer.concat(encodeFrame(FRAME_KIND.records, body, segments));

/** What a reader makes of chunks; segments are copied, because they are views into chunks. */
function read(chunks: Buffer[], maxFrameBytes: number = LIMITS.frameBytes): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame), maxFrameBytes);
  for (const chunk of chunks) reader.push(chunk);
  return frames;
}

/** Buffers of their own, as a socket gives them. */
const cut = (bytes: Buffer, ...at: number[]): Buffer[] =>
  [0, ...at].map((start, index) => Buffer.from(bytes.subarray(start, at[index] ?? bytes.length)));

const header = (
  change: Partial<{ length: number; version: number; kind: number; segments: number }>,
): Buffer => {
  const bytes = encoded([]);
  if (change.length !== undefined) bytes.writeUInt32LE(change.length, 0);
  if (change.version !== undefined) bytes[4] = change.version;
  if (change.kind !== undefined) bytes[5] = change.kind;
  if (change.segments !== undefined) bytes.writeUInt16LE(change.segments, 6);
  return bytes;
};

describe('frame layout', () => {
  it('is what docs/protocol.md says, byte for byte', () => {
    expect(encoded([[1, 2, 'a']]).toString('hex')).toBe(
      '0e000000' + '01' + '01' + '0000' + '91' + '930102' + 'a161',
    );
    expect(encoded([[5]], [Buffer.from('abc')]).toString('hex')).toBe(
      '1b000000' +
        '01' +
        '01' +
        '0100' +
        '03000000' +
        '03000000' +
        '919105' +
        '0000000000' +
        '616263',
    );
  });

  it('keeps a body and its segments, each at a multiple of 8', () => {
    const segments = [Buffer.from('abc'), Buffer.alloc(0), Buffer.alloc(4097, 7), Buffer.from('z')];
    const bytes = encoded([[5, 'text', null, 1.5]], segments);
    const [frame] = read([bytes]);
    if (frame === undefined) throw new Error('no frame');
    expect(frame.body).toEqual([[5, 'text', null, 1.5]]);
    expect(frame.segments.map((segment) => Buffer.from(segment))).toEqual(segments);
    for (const segment of frame.segments)
      expect((segment.byteOffset - bytes.byteOffset) % 8).toBe(0);
  });

  it('copies no segment when it encodes', () => {
    const segment = Buffer.alloc(1024);
    const part = encodeFrame(FRAME_KIND.records, [], [segment]).at(-1);
    expect(part?.buffer).toBe(segment.buffer);
  });
});

describe('frame reader', () => {
  const stream = Buffer.concat([
    encoded([[1, 'first']]),
    encoded([[2]], [Buffer.from('segment')]),
    encoded([[3]]),
  ]);
  const bodies = [[[1, 'first']], [[2]], [[3]]];

  it('cuts a stream at any two places', () => {
    for (let first = 0; first <= stream.length; first += 1) {
      for (let second = first; second <= stream.length; second += 1) {
        const frames = read(cut(stream, first, second));
        expect(frames.map(({ body }) => body)).toEqual(bodies);
        expect(Buffer.from(frames[1]?.segments[0] ?? []).toString()).toBe('segment');
      }
    }
  });

  it('takes single bytes, and many frames in one chunk', () => {
    expect(
      read(cut(stream, ...Array.from({ length: stream.length - 1 }, (_, index) => index + 1))),
    ).toHaveLength(3);
    expect(read([Buffer.concat(Array.from({ length: 1000 }, () => stream))])).toHaveLength(3000);
  });

  it.each([
    ['a version it does not speak', header({ version: 2 }), /version 2/],
    ['an unknown kind', header({ kind: 9 }), /kind/],
    ['a length below its header', header({ length: 7 }), /length/],
    ['a length over the limit', header({ length: 0xffff_ffff }), /limit/],
    [
      'a length inside its body',
      Buffer.concat([header({ length: 8 }), Buffer.from([0x90])]),
      /msgpack/,
    ],
    ['more segments than its bytes', header({ segments: 3 }), /segment table/],
    ['more segments than allowed', header({ segments: 0xffff }), /segment table/],
    ['a body that is not msgpack', Buffer.from('0a00000001010000d905', 'hex'), /msgpack/],
    ['a body with bytes left over', Buffer.from('0a000000010100009090', 'hex'), /msgpack/],
  ])('refuses %s', (_what, bytes, message) => {
    expect(() => read([bytes])).toThrow(
      expect.objectContaining({ name: 'ProtocolError', message: expect.stringMatching(message) }),
    );
  });

  it('refuses segments that do not fill the frame exactly', () => {
    for (const change of [-1, 1, 1000]) {
      const bytes = encoded([[1]], [Buffer.alloc(64)]);
      bytes.writeUInt32LE(64 + change, 12);
      expect(() => read([bytes])).toThrow(expect.objectContaining({ name: 'ProtocolError' }));
    }
    const bodyTooLong = encoded([[1]], [Buffer.alloc(64)]);
    bodyTooLong.writeUInt32LE(10_000, 8);
    expect(() => read([bodyTooLong])).toThrow(/body length/);
  });

  it('refuses a frame over its limit as soon as it knows the length', () => {
    expect(() => read([encoded([Buffer.alloc(5000)]).subarray(0, 8)], 4096)).toThrow(
      /limit is 4096/,
    );
    expect(read([encoded([Buffer.alloc(4000)])], 4096)).toHaveLength(1);
  });

  it('survives nesting and collections that lie about their size', () => {
    const frameOf = (body: Buffer): Buffer => {
      const bytes = Buffer.concat([encoded([]).subarray(0, 8), body]);
      bytes.writeUInt32LE(bytes.length, 0);
      return bytes;
    };
    const deep = Buffer.concat([Buffer.alloc(2_000_000, 0x91), Buffer.from([0x90])]);
    const liars = Buffer.concat(
      Array.from({ length: 800 }, () => Buffer.from('dd01ffffff', 'hex')),
    );
    for (const body of [
      deep,
      liars,
      Buffer.from('ddffffffff', 'hex'),
      Buffer.from('dfffffffff', 'hex'),
    ]) {
      expect(() => read([frameOf(body)])).toThrow(
        expect.objectContaining({ name: 'ProtocolError' }),
      );
      expect(read([encoded([[1]])])).toHaveLength(1);
    }
  });
});

describe('hostile bytes', () => {
  const mustBeProtocolError = (chunks: Buffer[]): void => {
    try {
      read(chunks, 1 << 20);
    } catch (error) {
      expect((error as Error).name).toBe('ProtocolError');
    }
  };

  it('random bytes are frames or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (chunks) =>
        mustBeProtocolError(chunks.map((chunk) => Buffer.from(chunk))),
      ),
      { numRuns: 500 },
    );
  });

  it('bodies of random bytes behind a sound header are frames or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(3), (body, segments) => {
        const bytes = Buffer.concat([encoded([]).subarray(0, 8), body]);
        bytes.writeUInt32LE(bytes.length, 0);
        bytes.writeUInt16LE(segments, 6);
        mustBeProtocolError([bytes]);
      }),
      { numRuns: 1000 },
    );
  });

  it('frames with changed bytes are frames or a ProtocolError', () => {
    const sound = encoded(
      [[1, 2, 'method', [Buffer.from('args'), { key: [1, 2, 3] }]]],
      [Buffer.alloc(100), Buffer.alloc(9)],
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        (changes) => {
          const bytes = Buffer.from(sound);
          for (const [index, value] of changes) bytes[index] = value;
          mustBeProtocolError([bytes]);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('chunks that are only lent', () => {
  const frames = fc.array(
    fc.record({
      text: fc.string({ maxLength: 40 }),
      segments: fc.array(fc.integer({ min: 0, max: 70_000 }), { maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 6 },
  );

  const readable = (parts: readonly unknown[]): unknown[] =>
    parts.map((part) =>
      part instanceof Uint8Array ? createHash('sha1').update(part).digest('hex') : part,
    );

  /** Reads with one buffer that is overwritten after every push, as a socket does. */
  function readLent(bytes: Buffer, sizes: Iterator<number>, withSinks: boolean): unknown[] {
    const seen: unknown[] = [];
    const reader = new FrameReader(({ body, segments }) => {
      // Decoded strings are kept; segments are looked at only after later pushes.
      seen.push([body, ...segments]);
    }, LIMITS.frameBytes);
    if (withSinks)
      reader.onSegment = (body, size) => {
        const pieces: Buffer[] = [];
        return {
          write: (piece) => void pieces.push(Buffer.from(piece)),
          end() {
            const whole = Buffer.concat(pieces);
            if (whole.length !== size) throw new Error(`${whole.length} bytes of ${size}`);
            seen.push([body, whole]);
          },
        };
      };
    const shared = Buffer.alloc(70_000);
    for (let at = 0; at < bytes.length;) {
      const taken = bytes.copy(shared, 0, at, at + (sizes.next().value as number));
      reader.push(shared.subarray(0, taken), true);
      shared.fill(0xee, 0, taken);
      at += taken;
    }
    return seen.map((entry) => readable(entry as unknown[]));
  }

  it.each([false, true])('are read as others are (with sinks: %s)', (withSinks) => {
    const sizes = fc.infiniteStream(
      fc.oneof(fc.integer({ min: 1, max: 70_000 }), fc.integer({ min: 1, max: 500 })),
    );
    fc.assert(
      fc.property(frames, sizes, (list, chunkSizes) => {
        const expected = list.map(({ text, segments }) => [
          [[1, text]],
          ...segments.map((size, index) => Buffer.alloc(size, index + 1)),
        ]);
        const bytes = Buffer.concat(
          expected.map(([body, ...segments]) => encoded(body, segments as Buffer[])),
        );
        expect(readLent(bytes, chunkSizes, withSinks)).toEqual(expected.map(readable));
      }),
      { numRuns: 60 },
    );
  });

  it('go into a sink, and what is malformed is refused as elsewhere', () => {
    const sound = encoded([[32]], [Buffer.alloc(100_000)]);
    const withSink = (bytes: Buffer): (() => void) => {
      const reader = new FrameReader(() => undefined, LIMITS.frameBytes);
      reader.onSegment = () => ({ write: () => undefined, end: () => undefined });
      return () => reader.push(bytes.subarray(0, 1000), true);
    };
    expect(withSink(sound)).not.toThrow();
    const wrongBody = Buffer.from(sound);
    wrongBody.writeUInt32LE(2 ** 30, 8);
    expect(withSink(wrongBody)).toThrow('body length');
    const wrongSegment = Buffer.from(sound);
    wrongSegment.writeUInt32LE(99_999, 12);
    expect(withSink(wrongSegment)).toThrow('segment length');
  });
});
