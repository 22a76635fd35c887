import assert from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../errors/errors.ts';
import { createValueCodec } from './value-codec.ts';
import { joinParts } from './value-parts.ts';
import type { ValueSource } from './value-source.ts';

const codec = createValueCodec({ revive: () => undefined });
const roundTrip = (value: unknown): unknown => {
  const { parts, sizeBytes } = codec.encodeParts(value, 'value');
  const bytes = joinParts(parts, sizeBytes);
  return codec.decode(bytes, sourceOf(bytes));
};

interface CountingSource extends ValueSource {
  ranges: [offset: number, length: number][];
}

function sourceOf(bytes: Uint8Array): CountingSource {
  const ranges: [number, number][] = [];
  return {
    ranges,
    bufferOf(offset, length) {
      ranges.push([offset, length]);
      return new Uint8Array(bytes.subarray(offset, offset + length)).buffer;
    },
  };
}

const KIB = 1024;
const binary = fc.constantFrom(0, 1, 100, 4 * KIB - 8, 4 * KIB, 16 * KIB - 8, 16 * KIB, 70 * KIB);
const block = fc
  .tuple(binary, fc.constantFrom(Uint8Array, Float64Array, Int32Array, BigInt64Array))
  .map(
    ([byteLength, type]) =>
      new type(byteLength % 8 === 0 ? byteLength / type.BYTES_PER_ELEMENT : 3),
  );
const value = fc.array(
  fc.oneof(
    block,
    fc.string(),
    block.map((data) => ({ data })),
    block.map((data) => new Map([[data, [data]]])),
  ),
  { maxLength: 12 },
);

describe('values in parts', () => {
  it('are the bytes of encode(), cut into pieces, and come back as they were', () => {
    fc.assert(
      fc.property(value, (example) => {
        const { parts, sizeBytes } = codec.encodeParts(example, 'value');
        const joined = joinParts(parts, sizeBytes);
        expect(joined.length).toBe(sizeBytes);
        expect(Buffer.compare(joined, codec.encode(example, 'value').bytes)).toBe(0);
        assert.deepStrictEqual(roundTrip(example), example);
      }),
      { numRuns: 200 },
    );
  });

  it('point at the memory of large binary data, and copy small data', () => {
    const large = new Float64Array(2 * KIB).fill(1.5);
    const small = new Uint8Array(4 * KIB - 1);
    const { parts, sizeBytes } = codec.encodeParts([large, small, large.buffer], 'value');
    const shared = parts.filter((part) => part.buffer === large.buffer);
    expect(shared.map((part) => part.byteLength)).toEqual([16 * KIB, 16 * KIB]);
    expect(parts.some((part) => part.buffer === small.buffer)).toBe(false);
    expect(parts.reduce((sum, part) => sum + part.length, 0)).toBe(sizeBytes);
  });

  it('keep what an earlier value wrote', () => {
    const first = codec.encodeParts(['first', new Uint8Array(20 * KIB).fill(1)], 'value');
    const before = Buffer.from(joinParts(first.parts, first.sizeBytes));
    codec.encodeParts(['second', new Uint8Array(20 * KIB).fill(2)], 'value');
    codec.encode(['third'], 'value');
    expect(Buffer.compare(joinParts(first.parts, first.sizeBytes), before)).toBe(0);
  });

  it('refuse what is too large to be stored, with its path', () => {
    const small = createValueCodec({ revive: () => undefined, limits: { storedBytes: 50 * KIB } });
    expect(() => small.encodeParts({ data: new Uint8Array(51 * KIB) }, 'value')).toThrow(
      /value\.data cannot be sent: .*larger than 51200 bytes/,
    );
    expect(small.encode({ data: new Uint8Array(51 * KIB) }, 'value').bytes.length).toBeGreaterThan(
      51 * KIB,
    );
  });
});

describe('values of a source', () => {
  it('have an ArrayBuffer of exactly their bytes each, from the source when they are large', () => {
    const data = [new Float64Array(512).fill(2), new Uint16Array(100).fill(3), Buffer.alloc(9, 4)];
    const bytes = codec.encode(data, 'value').bytes;
    const source = sourceOf(bytes);
    const read = codec.decode(bytes, source) as typeof data;
    expect(read).toEqual(data);
    expect(source.ranges.map(([, length]) => length)).toEqual([4 * KIB]);
    for (const [index, view] of read.entries()) {
      expect(view.byteOffset).toBe(0);
      expect(view.buffer.byteLength).toBe(data[index]?.byteLength);
      expect(view.buffer).not.toBe(bytes.buffer);
    }
  });

  it('give a large ArrayBuffer as the source has it, without a copy', () => {
    const { bytes } = codec.encode(new ArrayBuffer(8 * KIB), 'value');
    const own = new ArrayBuffer(8 * KIB);
    expect(codec.decode(bytes, { bufferOf: () => own })).toBe(own);
  });

  it('are read from misaligned bytes, arrays of numbers too', () => {
    const example = {
      numbers: Array.from({ length: 100 }, (_, index) => index / 2),
      data: new Float64Array(9),
    };
    const { bytes } = codec.encode(example, 'value');
    const shifted = new Uint8Array(bytes.length + 1).subarray(1);
    shifted.set(bytes);
    expect(codec.decode(shifted, sourceOf(shifted))).toEqual(example);
  });

  it('are read from their beginning on, window by window, whatever they hold', () => {
    const anything = fc.array(
      fc.oneof(
        block,
        fc.anything({ withBigInt: true, withDate: false, withMap: true, withSet: true }),
        fc.string({ minLength: 200, maxLength: 2_000 }),
        fc.bigInt(),
        fc.double(),
        fc.array(fc.double(), { minLength: 40, maxLength: 90 }),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(anything, fc.integer({ min: 1, max: 300 }), (example, beginningBytes) => {
        const { bytes } = codec.encode(example, 'value');
        const source = { ...sourceOf(bytes), sizeBytes: bytes.length };
        assert.deepStrictEqual(codec.decode(bytes.subarray(0, beginningBytes), source), example);
      }),
      { numRuns: 200 },
    );
  });

  it('never have large data within a window', () => {
    const { bytes } = codec.encode(
      ['text', new Uint8Array(32 * KIB), 'more', new Float64Array(9_000)],
      'value',
    );
    const source = { ...sourceOf(bytes), sizeBytes: bytes.length };
    codec.decode(bytes.subarray(0, 1 * KIB), source);
    expect(source.ranges.map(([, length]) => length).filter((length) => length > 4 * KIB)).toEqual([
      32 * KIB,
      72_000,
    ]);
  });

  it('are longer than the bytes at hand only where the source says so', () => {
    const { bytes } = codec.encode(['text', new Uint8Array(32 * KIB)], 'value');
    expect(() => codec.decode(bytes.subarray(0, 1 * KIB), sourceOf(bytes))).toThrow(ProtocolError);
    const source = { ...sourceOf(bytes), sizeBytes: bytes.length + 1 };
    expect(() => codec.decode(bytes.subarray(0, 1 * KIB), source)).toThrow(/left over/);
  });
});
