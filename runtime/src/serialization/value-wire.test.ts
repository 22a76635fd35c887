import assert from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TRANSFERABLE } from './transferable.ts';
import { createValueCodec } from './value-codec.ts';

const codec = createValueCodec({ revive: (kind, data) => ({ revived: kind, data }) });
const encode = (value: unknown): Uint8Array => codec.encode(value, 'value').bytes;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const shared = { a: 1 };
const cyclic: unknown[] = [];
cyclic.push(cyclic);

/** These bytes are in files and in other processes: a change here is a new format version. */
const GOLDEN: [name: string, value: unknown, bytes: string][] = [
  ['undefined', undefined, '10d40000'],
  ['null', null, '10c0'],
  ['booleans', [true, false], '1092c3c2'],
  ['small integers', [0, 127, -1, -32], '109400 7f ff e0'],
  ['integers', [128, 256, 65536, 4294967295], '1094 cc80 cd0100 ce00010000 ceffffffff'],
  ['negative integers', [-33, -129, -32769], '1093 d0df d1ff7f d2ffff7fff'],
  ['floats', [-0, 0.5, NaN], '1093 cb8000000000000000 cb3fe0000000000000 cb7ff8000000000000'],
  ['large integers', [2 ** 32, Infinity], '1092 cb41f0000000000000 cb7ff0000000000000'],
  [
    'bigints of 64 bits',
    [1n, -1n, 2n ** 63n],
    '1093 d30000000000000001 d3ffffffffffffffff cf8000000000000000',
  ],
  [
    'bigints',
    [2n ** 64n, -(2n ** 64n)],
    '1092 c90000000a0200010000000000000000 c90000000a0201010000000000000000',
  ],
  ['strings', ['', 'aé'], '1092 a0 a361c3a9'],
  ['a string of 32 bytes', 'a'.repeat(32), `10d920${'61'.repeat(32)}`],
  ['a lone surrogate', '\ud800', '10c9000000020400d8'],
  ['an object', { a: 1, 'b c': [] }, '1082 a161 01 a3622063 90'],
  ['a date', new Date(1), '10d7033ff0000000000000'],
  ['a RegExp', /a/g, '10c9000000040a a161 a167'],
  ['a URL', new URL('a:b'), '10c9000000040b a3613a62'],
  ['a Map', new Map([[1, 'x']]), '10c90000000408 81 01 a178'],
  ['a Set', new Set([1, 2]), '10c90000000309 92 01 02'],
  ['a shared object', [shared, shared], '1192 81a16101 d60100000001'],
  ['a cycle', cyclic, '1191 d60100000000'],
  ['a Buffer', Buffer.from([1, 2]), '10c90000000320 00 0102'],
  ['a Float32Array', [new Float32Array([1])], '1091 c90000000c28 07 00000000000000 0000803f'],
  ['an ArrayBuffer', new Uint8Array([9]).buffer, '10c9000000022d 00 09'],
  ['a DataView', new DataView(new ArrayBuffer(1)), '10c9000000022c 00 00'],
  [
    '16 small numbers',
    Array.from({ length: 16 }, () => 1),
    `10c90000004105 00 ${'01000000'.repeat(16)}`,
  ],
  [
    '16 numbers',
    Array.from({ length: 16 }, () => 0.5),
    `10c90000008106 00 ${'000000000000e03f'.repeat(16)}`,
  ],
];

describe('wire format', () => {
  it.each(GOLDEN)('of %s', (_, value, bytes) => {
    expect(hex(encode(value))).toBe(bytes.replaceAll(' ', ''));
    const decoded = codec.decode(Buffer.from(bytes.replaceAll(' ', ''), 'hex'));
    assert.deepStrictEqual(decoded, value);
  });

  it('of errors', () => {
    const failure = Object.assign(new RangeError('far', { cause: 'why' }), {
      stack: 'at x',
      code: 7,
    });
    const bytes =
      '10c9000000220c a0 aa52616e67654572726f72 a3666172 a46174 2078 c3 a3776879 c0 81 a4636f6465 07';
    expect(hex(encode(failure))).toBe(bytes.replaceAll(' ', ''));
    expect(codec.decode(Buffer.from(bytes.replaceAll(' ', ''), 'hex'))).toMatchObject({
      name: 'RangeError',
      message: 'far',
      stack: 'at x',
      cause: 'why',
      code: 7,
    });
  });

  it('of refs and handles', () => {
    const ref = { [TRANSFERABLE]: () => ({ kind: 'ref', data: 'r' }) };
    const handle = { [TRANSFERABLE]: () => ({ kind: 'handle', data: 1 }) };
    expect(hex(encode([ref, handle]))).toBe('1292c9000000020da172c9000000010e01');
    expect(codec.decode(encode([ref, handle]))).toEqual([
      { revived: 'ref', data: 'r' },
      { revived: 'handle', data: 1 },
    ]);
  });

  it('numbers the kinds of binary data', () => {
    const kinds = [
      Buffer.alloc(0),
      new Uint8Array(),
      new Int8Array(),
      new Uint8ClampedArray(),
      new Int16Array(),
      new Uint16Array(),
      new Int32Array(),
      new Uint32Array(),
      new Float32Array(),
      new Float64Array(),
      new BigInt64Array(),
      new BigUint64Array(),
      new DataView(new ArrayBuffer(0)),
      new ArrayBuffer(0),
    ];
    expect(kinds.map((value) => encode(value)[6])).toEqual(kinds.map((_, index) => 0x20 + index));
    assert.deepStrictEqual(
      kinds.map((value) => codec.decode(encode(value))),
      kinds,
    );
  });
});

const arrays = fc.array(
  fc.oneof(
    fc.float64Array({ maxLength: 700 }),
    fc.int16Array({ maxLength: 700 }),
    fc.bigInt64Array({ maxLength: 700 }),
    fc.uint8Array({ maxLength: 9_000 }),
    fc.string(),
  ),
);

describe('binary data', () => {
  it('is aligned, and a view of the bytes received', () => {
    fc.assert(
      fc.property(arrays, (values) => {
        const message = encode(values);
        const received = new Uint8Array(message);
        const decoded = codec.decode(received) as unknown[];
        assert.deepStrictEqual(decoded, values);
        for (const value of decoded) {
          if (!ArrayBuffer.isView(value)) continue;
          expect(value.buffer).toBe(received.buffer);
          expect(value.byteOffset % 8).toBe(0);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is copied, and right, when the bytes received are misaligned', () => {
    fc.assert(
      fc.property(arrays, fc.integer({ min: 1, max: 7 }), (values, shift) => {
        const message = encode(values);
        const received = new Uint8Array(message.length + shift).subarray(shift);
        received.set(message);
        assert.deepStrictEqual(codec.decode(received), values);
      }),
      { numRuns: 300 },
    );
  });

  it('of a small window carries the window only', () => {
    const window = new Float64Array(new ArrayBuffer(10_000_000), 8_000, 2);
    const message = encode([
      window,
      new DataView(window.buffer, 3, 5),
      Buffer.from(window.buffer, 5, 7),
    ]);
    expect(message.length).toBeLessThan(120);
    expect((codec.decode(message) as ArrayBufferView[]).map((value) => value.byteLength)).toEqual([
      16, 5, 7,
    ]);
  });

  it('of an ArrayBuffer comes back alone in its buffer', () => {
    const decoded = codec.decode(encode(['x', new Uint8Array([1, 2, 3]).buffer])) as [
      string,
      ArrayBuffer,
    ];
    expect([...new Uint8Array(decoded[1])]).toEqual([1, 2, 3]);
  });

  it('of 100 MiB travels beside small values', () => {
    const large = Buffer.alloc(100 * 1024 * 1024, 7);
    const value = { before: [1.5, 'a'], large, after: new Float64Array([2.5]) };
    const decoded = codec.decode(encode(value)) as typeof value;
    expect(decoded.large.equals(large)).toBe(true);
    expect([decoded.before, decoded.after]).toEqual([value.before, value.after]);
  });

  it('does not reveal memory in its padding', () => {
    for (let length = 0; length < 20; length++) {
      const message = encode(['x'.repeat(length), new Uint8Array(0)]);
      expect(message.subarray(length + 3 + 6 + 1).every((byte) => byte === 0)).toBe(true);
    }
  });
});
