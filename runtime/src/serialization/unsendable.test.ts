import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { SerializationError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';
import { TRANSFERABLE } from './transferable.ts';
import { createValueCodec } from './value-codec.ts';

const codec = createValueCodec({ revive: () => undefined, limits: { valueBytes: 1_000_000 } });

function refusal(value: unknown, path = 'args'): SerializationError {
  try {
    codec.encode(value, path);
  } catch (error) {
    if (error instanceof SerializationError) return error;
    throw error;
  }
  throw new Error('it was sent');
}

class Account {
  balance = 0;
}
class Names extends Array<string> {}
class Index extends Map<string, string> {}

describe('what cannot be sent', () => {
  const objectKey = {};
  const cases: [path: string, value: unknown, message: RegExp][] = [
    ['args[0].socket', [{ socket: new Socket() }], /instance of Socket.*plain data/],
    ['args[0]', [() => 1], /it is a function/],
    ['args[1].onDone', [1, { onDone: function done() {} }], /it is a function \(done\)/],
    ['args[0]', [Symbol('secret')], /it is a symbol \(Symbol\(secret\)\)/],
    ['args', new Account(), /instance of Account/],
    ['args[0]', [Names.from(['a'])], /instance of Names/],
    ['args[0]', [new Index()], /instance of Index/],
    ['args[0]', [class Job {}], /function \(Job\)/],
    ['args[0]["a b"].c[2]', [{ 'a b': { c: [1, 2, Promise.resolve()] } }], /Promise; await it/],
    ['args[0].get("k").x', [new Map([['k', { x: new WeakMap() }]])], /WeakMap/],
    ['args[0].get(7)', [new Map([[7, new WeakRef({})]])], /instance of WeakRef/],
    [
      'args[0].values()[1]',
      [
        new Map<unknown, unknown>([
          [1, 1],
          [objectKey, new WeakSet()],
        ]),
      ],
      /WeakSet/,
    ],
    ['args[0].keys()[0].f', [new Map([[{ f: () => 0 }, 1]])], /function/],
    ['args[0].values()[2]', [new Set([1, 2, Symbol.iterator])], /symbol/],
    ['args[0]', [new SharedArrayBuffer(8)], /SharedArrayBuffer; send a copy/],
    ['args[0][20]', [[...Array.from({ length: 20 }, () => 1), () => 0]], /function/],
    [
      'args[0].data.x',
      [{ [TRANSFERABLE]: () => ({ kind: 'ref', data: { x: () => 0 } }) }],
      /function/,
    ],
    ['args[0]', [new Number(1)], /instance of Number/],
    ['args[0]', [Object.create(Map.prototype)], /reading it threw: TypeError/],
    ['args[0]', ['x'.repeat(1_000_001)], /larger than 1000000 bytes/],
    ['args[1]', [1, new Uint8Array(1_000_001)], /larger than 1000000 bytes/],
  ];
  it.each(cases)('%s', (path, value, message) => {
    const error = refusal(value);
    expect(error.path).toBe(path);
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(`${error.path} cannot be sent: `)).toBe(true);
  });

  it('keeps what a getter threw as the cause', () => {
    const thrown = new TypeError('boom');
    const error = refusal([
      {
        nested: {
          get value() {
            throw thrown;
          },
        },
      },
    ]);
    expect(error.path).toBe('args[0].nested.value');
    expect(error.message).toContain('reading it threw: TypeError: boom');
    expect(error.cause).toBe(thrown);
  });

  it('keeps what a Proxy or a ref threw as the cause', () => {
    const thrown = new Error('no keys');
    expect(
      refusal([
        new Proxy(
          {},
          {
            ownKeys() {
              throw thrown;
            },
          },
        ),
      ]).cause,
    ).toBe(thrown);
    expect(
      refusal([
        {
          [TRANSFERABLE]() {
            throw thrown;
          },
        },
      ]).cause,
    ).toBe(thrown);
  });

  it('refuses more objects or elements than the receiver takes', () => {
    const sparse = refusal(Object.assign([], { length: 2 ** 32 - 1 }));
    expect(sparse.path).toBe('args');
    expect(sparse.message).toMatch(/more than \d+ elements; send typed arrays/);

    const strict = createValueCodec({
      revive: () => undefined,
      limits: { valueObjects: 20, valueElements: 40 },
    });
    const make = (length: number, element: (index: number) => unknown): unknown =>
      Array.from({ length }, (_, index) => element(index));
    const record = (length: number): unknown =>
      Object.fromEntries(Array.from({ length }, (_, index) => [index, index]));
    const fitting = [
      make(19, () => ({})),
      make(19, () => 1n << 99n),
      make(4, () => new Error('e')),
      make(40, () => 'text'),
      record(20),
      make(10_000, (index) => index),
    ];
    const tooLarge = [
      make(20, () => ({})),
      make(20, () => 1n << 99n),
      make(20, () => '\ud800'),
      make(20, () => new Date(0)),
      make(5, () => new Error('e')),
      make(41, () => 'text'),
      record(21),
    ];
    for (const value of fitting) {
      expect(strict.decode(strict.encode(value, 'args').bytes)).toEqual(value);
    }
    for (const value of tooLarge) {
      expect(() => strict.encode(value, 'args')).toThrow(/would have more than/);
      expect(() => strict.decode(codec.encode(value, 'args').bytes)).toThrow(/than permitted/);
    }
  });

  it('names the root that it was given', () => {
    expect(refusal(() => 0, 'result').path).toBe('result');
    expect(refusal({ a: () => 0 }, 'result').path).toBe('result.a');
  });

  it('refuses more than the permitted depth, but not cycles', () => {
    const nest = (levels: number): unknown => {
      let value: unknown = 1;
      for (let level = 0; level < levels; level++)
        value = level % 2 === 0 ? [value] : { next: value };
      return value;
    };
    const deepest = nest(LIMITS.valueDepth);
    expect(codec.decode(codec.encode(deepest, 'args').bytes)).toEqual(deepest);
    const error = refusal(nest(LIMITS.valueDepth + 1));
    expect(error.message).toMatch(/nested deeper than 512 levels/);
    expect(error.path.startsWith('args[0].next[0].next')).toBe(true);
    const ring: { next?: unknown } = {};
    ring.next = { next: { next: ring } };
    expect(codec.decode(codec.encode(ring, 'args').bytes)).toEqual(ring);
  });

  it('leaves the codec ready for the next value', () => {
    const before = codec.encode({ a: 1 }, 'args').bytes;
    refusal({ a: 1, shared: [before, before], b: new Uint8Array(5_000), c: () => 0 });
    expect(codec.encode({ a: 1 }, 'args').bytes).toEqual(before);
    expect(codec.decode(before)).toEqual({ a: 1 });
  });
});
