import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MantaError, ProtocolError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';
import { decodeError } from './error-codec.ts';
import { createValueCodec } from './value-codec.ts';

const codec = createValueCodec({ revive: (kind, data) => ({ kind, data }) });

/** The error that decoding ends with; undefined when the bytes are a value. */
function failureOf(decode: () => unknown): unknown {
  try {
    decode();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Whatever the bytes are: they are a value, or the error is of the kind that callers are told of. */
function endsWell(bytes: Uint8Array): boolean {
  const failure = failureOf(() => codec.decode(bytes));
  return failure === undefined || failure instanceof ProtocolError;
}

const isRefused = (bytes: Uint8Array): boolean =>
  failureOf(() => codec.decode(bytes)) instanceof ProtocolError;
const header = fc.constantFrom(0x10, 0x11, 0x13);
const withHeader = (first: number, rest: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.of(first), rest]);

const sample = (): unknown => {
  const shared = { id: 'a', list: [1, 2, 3] };
  const error = new AggregateError([new TypeError('inner')], 'outer', {
    cause: new Error('cause'),
  });
  return {
    shared,
    again: [shared],
    error: Object.assign(error, { code: 'X', again: shared }),
    map: new Map<unknown, unknown>([
      ['k', new Set([1n, 1n << 80n])],
      [shared, new Date(7)],
    ]),
    numbers: Array.from({ length: 20 }, (_, index) => index / 3),
    binary: [
      new Float32Array(5),
      Buffer.from('abc'),
      new DataView(new ArrayBuffer(3)),
      new ArrayBuffer(9),
    ],
    text: ['é漢😀', '\ud800', 'x'.repeat(300), /a+/gi, new URL('http://example.org/')],
  };
};

describe('bytes that nobody vouches for', () => {
  it('random bytes are refused or read, never more', () => {
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 300 }), (first, rest) => {
        expect(endsWell(withHeader(first, rest))).toBe(true);
        expect(endsWell(rest)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  it('items made of the tokens of the format are refused or read, never more', () => {
    const token = fc.constantFrom(
      0x81,
      0x82,
      0x91,
      0x92,
      0xa1,
      0xc0,
      0xc9,
      0xcb,
      0xcf,
      0xd3,
      0xd4,
      0xd6,
      0xd7,
      0xd9,
      0xdc,
      0xdd,
      0xde,
      0xdf,
      0,
      1,
      2,
      3,
      4,
      5,
      6,
      8,
      9,
      10,
      11,
      12,
      13,
      14,
      0x20,
      0x28,
      0x2d,
      0x61,
    );
    const extension = fc
      .tuple(
        fc.nat(16),
        fc.oneof(fc.integer({ min: 0, max: 0x2f })),
        fc.array(token, { maxLength: 20 }),
      )
      .map(([length, type, rest]) => [0xc9, 0, 0, 0, length, type, ...rest]);
    const items = fc.array(
      fc.oneof(
        token.map((byte) => [byte]),
        extension,
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(header, items, (first, rest) => {
        expect(endsWell(withHeader(first, Uint8Array.from(rest.flat())))).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  it('a message with changed bytes is refused or read, never more', () => {
    const original = codec.encode(sample(), 'value').bytes;
    const change = fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const bytes = Buffer.from(original);
        for (const [position, byte] of changes) bytes[position] = byte;
        expect(endsWell(bytes)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  it('a message cut anywhere is refused', () => {
    const original = codec.encode(sample(), 'value').bytes;
    for (let length = 0; length < original.length; length++)
      expect(isRefused(original.subarray(0, length))).toBe(true);
    expect(isRefused(Buffer.concat([original, Buffer.of(0)]))).toBe(true);
  });

  it('unknown versions and flags are refused with a word on versions', () => {
    for (const first of [0x00, 0x14, 0x18, 0x20, 0xff]) {
      expect(() => codec.decode(Buffer.of(first, 0xc0))).toThrow(
        /unknown format.*matching Manta versions/,
      );
    }
  });

  it('lengths beyond the message are refused before anything is allocated for them', () => {
    const declared: number[][] = [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0xff, 0xff, 0xff, 0xff],
      [0xdb, 0xff, 0xff, 0xff, 0xff],
      [0xc9, 0xff, 0xff, 0xff, 0xff, 0x20],
      [0xc9, 0xff, 0xff, 0xff, 0xff, 0x02],
      [0xc9, 0x7f, 0xff, 0xff, 0xff, 0x08],
      [0xc9, 0, 0, 0, 5, 0x08, 0xdf, 0xff, 0xff, 0xff, 0xff],
      [0xc9, 0, 0, 0, 5, 0x09, 0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xd6, 0x01, 0xff, 0xff, 0xff, 0xff],
    ];
    const before = process.memoryUsage().rss;
    for (const bytes of declared) {
      for (const first of [0x10, 0x11]) expect(isRefused(Buffer.of(first, ...bytes))).toBe(true);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  });

  it('collections may together declare no more elements than there are bytes', () => {
    const length = 20_000;
    const declaration = Buffer.of(0xdd, 0, 0, length >> 8, length & 0xff);
    const nested = Buffer.concat([
      Buffer.of(0x10),
      ...Array.from({ length: 400 }, () => declaration),
    ]);
    expect(isRefused(Buffer.concat([nested, Buffer.alloc(length)]))).toBe(true);
  });

  it('binary data must be whole elements behind padding that is there', () => {
    expect(isRefused(Buffer.of(0x10, 0xc9, 0, 0, 0, 4, 0x29, 0, 1, 2, 3))).toBe(true);
    expect(isRefused(Buffer.of(0x10, 0xc9, 0, 0, 0, 2, 0x20, 200, 1))).toBe(true);
    expect(isRefused(Buffer.of(0x10, 0xc9, 0, 0, 0, 0, 0x20))).toBe(true);
    expect(isRefused(Buffer.of(0x10, 0xc9, 0, 0, 0, 1, 0x3f, 0))).toBe(true);
  });

  it('references must name an object that is complete', () => {
    expect(isRefused(Buffer.of(0x10, 0x91, 0xd6, 1, 0, 0, 0, 0))).toBe(true);
    expect(isRefused(Buffer.of(0x11, 0x91, 0xd6, 1, 0, 0, 0, 1))).toBe(true);
    expect(isRefused(Buffer.of(0x13, 0xc9, 0, 0, 0, 6, 0x0d, 0xd6, 1, 0, 0, 0, 0))).toBe(true);
  });

  it('refs and handles must be announced in the header', () => {
    expect(codec.decode(Buffer.of(0x12, 0xc9, 0, 0, 0, 1, 0x0d, 5))).toEqual({
      kind: 'ref',
      data: 5,
    });
    for (const type of [0x0d, 0x0e])
      expect(isRefused(Buffer.of(0x10, 0xc9, 0, 0, 0, 1, type, 5))).toBe(true);
  });

  it('nesting of every kind ends at the limit, however deep', () => {
    const repeat = (unit: number[], times: number): Buffer =>
      Buffer.concat([Buffer.of(0x13), Buffer.alloc(unit.length * times, Buffer.from(unit))]);
    const units = [[0x91], [0x81, 0xa0], [0x81, 0xa1, 0x61], [0xdc, 0, 1], [0xde, 0, 1, 0xa0]];
    for (const unit of units) {
      for (const levels of [LIMITS.valueDepth + 1, 100_000, 4_000_000]) {
        expect(() => codec.decode(repeat(unit, levels))).toThrow(/nested deeper than 512 levels/);
      }
    }
    for (const type of [0x08, 0x09, 0x0c, 0x0d, 0x0e]) {
      const start =
        type === 0x08
          ? [0x81]
          : type === 0x09
            ? [0x91]
            : type === 0x0c
              ? [0xa0, 0xa0, 0xa0, 0xc0, 0xc3]
              : [];
      const levels = 20_000;
      const unitBytes = 6 + start.length;
      const parts: Buffer[] = [Buffer.of(0x13)];
      for (let level = 1; level <= levels; level++) {
        const head = Buffer.of(0xc9, 0, 0, 0, 0, type, ...start);
        head.writeUInt32BE((levels - level) * unitBytes + start.length, 1);
        parts.push(head);
      }
      expect(() => codec.decode(Buffer.concat(parts))).toThrow(/nested deeper than 512 levels/);
    }
  });

  it('cannot change prototypes or impersonate through keys', () => {
    const bytes = Buffer.concat([
      Buffer.of(0x10, 0x81, 0xa9),
      Buffer.from('__proto__'),
      Buffer.of(0x81, 0xa1, 0x78, 1),
    ]);
    const decoded = codec.decode(bytes) as { x?: number };
    expect(decoded.x).toBeUndefined();
    expect(Object.keys(decoded)).toEqual(['__proto__']);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  it('errors made of random bytes are refused with a MantaError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (rest) => {
        const failure = failureOf(() => decodeError(withHeader(0x10, rest)));
        expect(failure === undefined || MantaError.is(failure)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});
