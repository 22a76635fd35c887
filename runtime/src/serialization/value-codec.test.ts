import assert from 'node:assert';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { MantaError, ProtocolError } from '../errors/errors.ts';
import { TRANSFERABLE, type Transferable } from './transferable.ts';
import { createValueCodec } from './value-codec.ts';

class Ref implements Transferable {
  readonly id: string;
  constructor(id: string) {
    this.id = id;
  }
  [TRANSFERABLE]() {
    return { kind: 'ref' as const, data: { id: this.id } };
  }
}

const codec = createValueCodec({
  revive: (kind, data) => (kind === 'ref' ? new Ref((data as { id: string }).id) : { kind, data }),
});
const roundTrip = <T>(value: T): T => codec.decode(codec.encode(value, 'value').bytes) as T;

const loneSurrogates = fc.string({ unit: 'binary' }).map((text) => `${text}\ud800x\udc00`);
const anyValue = fc.anything({
  maxDepth: 5,
  withBigInt: true,
  // Not withDate: it makes invalid dates, which node:assert never finds equal; they have a test of their own below.
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withUnicodeString: true,
  key: fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('__proto__', 'constructor', 'toString', '0', ''),
  ),
  values: [
    fc.boolean(),
    fc.double(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt(),
    fc.string({ unit: 'binary' }),
    loneSurrogates,
    fc.constantFrom(
      null,
      undefined,
      -0,
      NaN,
      Infinity,
      -Infinity,
      0xffffffff,
      -0x80000000,
      1n << 200n,
      -(1n << 64n),
    ),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.slice().buffer),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => new DataView(bytes.slice().buffer)),
    fc.array(fc.double(), { maxLength: 40 }),
    fc.array(fc.integer(), { maxLength: 40 }),
    fc.webUrl().map((text) => new URL(text)),
  ],
});

describe('round trips', () => {
  it('gives back any value as it was', () => {
    fc.assert(
      fc.property(anyValue, (value) => assert.deepStrictEqual(roundTrip(value), value)),
      { numRuns: 2_000 },
    );
  });

  it('keeps shared and cyclic references', () => {
    fc.assert(
      fc.property(fc.array(anyValue, { minLength: 1, maxLength: 40 }), fc.nat(), (values, seed) => {
        const first = values[seed % values.length];
        const value: Record<string, unknown> = {
          values,
          first,
          again: values,
          map: new Map([[values, 'key']]),
        };
        value['self'] = value;
        const result = roundTrip(value) as Record<string, unknown>;
        assert.deepStrictEqual(result['values'], values);
        expect(result['self']).toBe(result);
        expect(result['again']).toBe(result['values']);
        expect([...(result['map'] as Map<unknown, unknown>).keys()][0]).toBe(result['values']);
        expect(result['first']).toBe((result['values'] as unknown[])[seed % values.length]);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps cycles through Map, Set, array and error', () => {
    const map = new Map<string, unknown>();
    const set = new Set<unknown>([map]);
    const error = Object.assign(new Error('round'), { set });
    const array: unknown[] = [error];
    map.set('array', array);
    error.cause = error;
    const result = roundTrip(map) as typeof map;
    const [resultError] = result.get('array') as [Error & { set: Set<unknown> }];
    expect(resultError.cause).toBe(resultError);
    expect([...resultError.set][0]).toBe(result);
  });

  it('keeps the identity of leaf objects', () => {
    const shared = [
      new Date(1),
      /x/g,
      new URL('http://a/'),
      Buffer.from('a'),
      new Float32Array(2),
      new Error('e'),
    ];
    const numbers = Array.from({ length: 100 }, (_, index) => index);
    const result = roundTrip([...shared, ...shared, numbers, numbers]);
    for (const index of shared.keys()) expect(result[index]).toBe(result[index + shared.length]);
    expect(result.at(-1)).toBe(result.at(-2));
    assert.deepStrictEqual(result.at(-1), numbers);
  });

  it('carries RegExp with flags, invalid dates, null prototypes as plain objects, holes as undefined', () => {
    assert.deepStrictEqual(roundTrip(/a(b)[/]\n/giu), /a(b)[/]\n/giu);
    expect(roundTrip(new Date(NaN)).getTime()).toBeNaN();
    assert.deepStrictEqual(roundTrip(Object.assign(Object.create(null) as object, { a: 1 })), {
      a: 1,
    });
    const sparse = [1];
    sparse[2] = 3;
    assert.deepStrictEqual(roundTrip(sparse), [1, undefined, 3]);
    assert.deepStrictEqual(roundTrip({ [Symbol('hidden')]: 1, seen: 2 }), { seen: 2 });
  });

  it('keeps __proto__ an ordinary key', () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "a": {"__proto__": 1}}') as object;
    const result = roundTrip(value);
    assert.deepStrictEqual(result, value);
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
    expect((result as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it('carries objects with many keys, long arrays and long strings', () => {
    const wide = Object.fromEntries(
      Array.from({ length: 70_000 }, (_, index) => [`key${index}`, index]),
    );
    assert.deepStrictEqual(roundTrip(wide), wide);
    const long = Array.from({ length: 70_000 }, (_, index) => ({ index }));
    assert.deepStrictEqual(roundTrip(long), long);
    for (const unit of ['a', 'é', '漢', '😀', '\ud800']) {
      for (const length of [1, 31, 32, 47, 48, 255, 256, 5_000, 70_000]) {
        expect(roundTrip(unit.repeat(length)) === unit.repeat(length)).toBe(true);
      }
    }
  });

  it('carries bigints of any size', () => {
    for (const bits of [1n, 62n, 63n, 64n, 65n, 4_099n, 1_000_000n]) {
      for (const offset of [-1n, 0n, 1n]) {
        const value = (1n << bits) + offset;
        expect(roundTrip(value) === value).toBe(true);
        expect(roundTrip(-value) === -value).toBe(true);
      }
    }
  });

  it('knows built-in objects of other realms', () => {
    const foreign = runInNewContext(
      '({ date: new Date(5), map: new Map([[1, { a: [1] }]]), bytes: new Uint8Array([1, 2]), error: new TypeError("t") })',
    ) as { error: Error };
    const { error, ...rest } = roundTrip(foreign);
    assert.deepStrictEqual(rest, {
      date: new Date(5),
      map: new Map([[1, { a: [1] }]]),
      bytes: new Uint8Array([1, 2]),
    });
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('TypeError');
  });

  it('serialises now', () => {
    const value = { list: [1], bytes: new Uint8Array(10_000) };
    const { bytes } = codec.encode(value, 'value');
    value.list.push(2);
    value.bytes.fill(1);
    codec.encode({ other: 'x'.repeat(100_000) }, 'value');
    assert.deepStrictEqual(codec.decode(bytes), { list: [1], bytes: new Uint8Array(10_000) });
  });

  it('lets code that runs within encode and decode use the codec', () => {
    const value = {
      before: 'a',
      get nested() {
        return roundTrip({ inner: [1, 2] });
      },
      after: 'b',
    };
    assert.deepStrictEqual(roundTrip(value), {
      before: 'a',
      nested: { inner: [1, 2] },
      after: 'b',
    });
    const reentrant = createValueCodec({ revive: (_, data) => roundTrip(data) });
    const { bytes } = reentrant.encode(['a', new Ref('r1'), 'b'], 'value');
    assert.deepStrictEqual(reentrant.decode(bytes), ['a', { id: 'r1' }, 'b']);
  });
});

describe('refs and handles', () => {
  it('are revived, keep their identity and are listed once', () => {
    const ref = new Ref('o_1');
    const handle = Object.assign(() => 0, {
      [TRANSFERABLE]: () => ({ kind: 'handle' as const, data: [7] }),
    });
    const { bytes, transferables } = codec.encode({ ref, again: [ref], handle }, 'args');
    expect(transferables).toEqual([ref, handle]);
    const result = codec.decode(bytes) as { ref: Ref; again: Ref[]; handle: unknown };
    expect(result.ref).toBeInstanceOf(Ref);
    expect(result.ref.id).toBe('o_1');
    expect(result.again[0]).toBe(result.ref);
    expect(result.handle).toEqual({ kind: 'handle', data: [7] });
  });

  it('are found behind plain prototypes and proxies', () => {
    const literal = {
      [TRANSFERABLE]: () => ({ kind: 'ref' as const, data: { id: 'literal' } }),
      method: () => 0,
    };
    const proxy = new Proxy(
      {},
      { get: (_, key) => (key === TRANSFERABLE ? literal[TRANSFERABLE] : () => 0) },
    );
    expect(roundTrip([literal, proxy])).toEqual([new Ref('literal'), new Ref('literal')]);
  });

  it('pass on a MantaError that reviving throws and wrap others', () => {
    const { bytes } = codec.encode(new Ref('x'), 'value');
    const refusing = createValueCodec({
      revive() {
        throw new MantaError('no');
      },
    });
    expect(() => refusing.decode(bytes)).toThrow(new MantaError('no'));
    const failing = createValueCodec({
      revive() {
        throw new TypeError('oops');
      },
    });
    expect(() => failing.decode(bytes)).toThrow(ProtocolError);
  });
});

describe('plain data', () => {
  it('is standard MessagePack behind the header', () => {
    const packr = new Packr({ useRecords: false });
    const json = fc
      .jsonValue({ maxDepth: 4 })
      .filter((value) => !JSON.stringify(value).includes('__proto__'));
    fc.assert(
      fc.property(json, (value) => {
        const normal: unknown = JSON.parse(JSON.stringify(value));
        assert.deepStrictEqual(
          packr.unpack(codec.encode(normal, 'value').bytes.subarray(1)),
          normal,
        );
      }),
      { numRuns: 300 },
    );
  });
});
