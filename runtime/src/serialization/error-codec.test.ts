import { Socket } from 'node:net';
import { types } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '../errors/codes.ts';
import * as errors from '../errors/errors.ts';
import { decodeError, encodeError, taskErrorFrom } from './error-codec.ts';
import { TRANSFERABLE } from './transferable.ts';
import { createValueCodec } from './value-codec.ts';

const roundTrip = (thrown: unknown): Error => decodeError(encodeError(thrown));
const deathCause = { kind: 'process-died', message: 'it went', exitCode: 3, nodeId: 'n_1' };

const MANTA_ERRORS: errors.MantaError[] = [
  new errors.TaskError('f failed', { cause: new Error('inner'), method: 'f', actorId: 'a_1' }),
  new errors.TaskError('f failed', { cause: 'text', method: 'f' }),
  new errors.ActorDiedError('dead', { actorId: 'a_1', deathCause }),
  new errors.SerializationError('args[0] cannot', 'args[0]', { cause: new Error('why') }),
  new errors.InfeasibleError('nowhere', { n_1: 'no GPU' }),
  new errors.SchedulingTimeoutError('late', { n_1: 'busy' }),
];
const WITH_FIELDS = new Set(MANTA_ERRORS.map((error) => error.name));
for (const [name, type] of Object.entries(errors)) {
  if (WITH_FIELDS.has(name)) continue;
  MANTA_ERRORS.push(new (type as new (message: string) => errors.MantaError)(`message of ${name}`));
}

describe('errors of Manta', () => {
  it.each(MANTA_ERRORS.map((error) => [error.name, error] as const))('%s', (name, error) => {
    const result = roundTrip(error) as errors.MantaError;
    expect(result.constructor).toBe(error.constructor);
    expect(types.isNativeError(result)).toBe(true);
    expect(result).toStrictEqual(error);
    expect(Object.entries(result)).toStrictEqual(Object.entries(error));
    expect(result.stack).toBe(error.stack);
    expect(errors.MantaError.is(result, name)).toBe(true);
    expect(Object.keys(result)).not.toContain('name');
    expect(result.code).toBe(ERROR_TABLE[name as keyof typeof ERROR_TABLE].code);
    expect(result.cause instanceof Error).toBe(error.cause instanceof Error);
  });

  it('come back as the base, named, when their class is newer than ours', () => {
    const bytes = Buffer.from(encodeError(new errors.NameTakenError('taken')));
    const renamed = Buffer.from(
      bytes.toString('latin1').replaceAll('NameTakenError', 'NameTakenFrror'),
      'latin1',
    );
    const result = decodeError(renamed);
    expect(errors.MantaError.is(result)).toBe(true);
    expect(result.name).toBe('NameTakenFrror');
    expect((result as errors.MantaError).code).toBe('MANTA_NAME_TAKEN');
  });
});

describe('foreign errors', () => {
  class QuotaError extends TypeError {
    override readonly name = 'QuotaError';
    limit = 7;
  }

  it('keep name, message, stack and own properties, not their class', () => {
    const error = Object.assign(new QuotaError('too much'), {
      when: new Date(5),
      nested: { list: [1n] },
    });
    const result = roundTrip(error) as typeof error;
    expect(result.constructor).toBe(Error);
    expect([result.name, result.message, result.stack]).toEqual([
      'QuotaError',
      'too much',
      error.stack,
    ]);
    expect(Object.entries(result)).toEqual([
      ['limit', 7],
      ['when', new Date(5)],
      ['nested', { list: [1n] }],
    ]);
    expect(errors.MantaError.is(result)).toBe(false);
  });

  it('keep system error codes', () => {
    const error = Object.assign(new Error('ENOENT'), {
      code: 'ENOENT',
      errno: -2,
      syscall: 'open',
    });
    expect(roundTrip(error)).toMatchObject({ code: 'ENOENT', errno: -2, syscall: 'open' });
    const abort = new DOMException('stopped', 'AbortError');
    expect(roundTrip(abort)).toMatchObject({ name: 'AbortError', message: 'stopped' });
  });

  it('keep chains of causes, up to 16', () => {
    const chain = (length: number): Error =>
      length === 0 ? new Error('root') : new Error(`level ${length}`, { cause: chain(length - 1) });
    const depthOf = (error: unknown): number =>
      error instanceof Error ? 1 + depthOf(error.cause) : 0;
    expect(depthOf(roundTrip(chain(10)))).toBe(11);
    const cut = roundTrip(chain(40));
    expect(depthOf(cut)).toBe(17);
    let last: unknown = cut;
    while (last instanceof Error) last = last.cause;
    expect(last).toBe('[chain of causes cut after 16: Error: level 23]');
  });

  it('keep the errors of an AggregateError, causes that are no errors, and cycles', () => {
    const part = new RangeError('part', { cause: { code: 5 } });
    const whole = new AggregateError([part, 'text', () => 0], 'whole');
    part.cause = whole;
    const result = roundTrip(whole) as AggregateError;
    expect(result.name).toBe('AggregateError');
    const [first, second, third] = result.errors as [Error, string, string];
    expect(first.name).toBe('RangeError');
    expect(first.cause).toBe(result);
    expect(second).toBe('text');
    expect(third).toMatch(/^\[not sent: it is a function/);
    expect(roundTrip(new Error('e', { cause: undefined }))).toHaveProperty('cause', undefined);
    expect('cause' in roundTrip(new Error('e'))).toBe(false);
  });

  it('are cut down to their text when they carry too much', () => {
    const body = new Uint8Array(20 * 1024 * 1024);
    const error = roundTrip(Object.assign(new Error('refused'), { body }));
    expect(error.message).toMatch(/^Error: refused \(cut down: it had 20\d+ bytes/);
    expect('body' in error).toBe(false);
  });

  it('replace what cannot be sent by a text', () => {
    const ring: { self?: unknown; socket?: Socket } = {};
    ring.self = ring;
    const error = Object.assign(new Error('e'), {
      socket: new Socket(),
      handler: () => 0,
      ref: { [TRANSFERABLE]: () => ({ kind: 'ref', data: 1 }) },
      ring,
      deep: { list: [1, { socket: new Socket() }] },
      after: 'kept',
    });
    Object.defineProperty(error, 'angry', {
      enumerable: true,
      get: () => {
        throw new Error('no');
      },
    });
    const result = roundTrip(error) as typeof error & { angry: string };
    expect(result.socket).toMatch(/^\[not sent: it is an instance of Socket/);
    expect(result.handler).toMatch(/^\[not sent: it is a function/);
    expect(result.ref).toMatch(/^\[not sent: it is a ref or a handle/);
    expect(result.ring.self).toBe(result.ring);
    expect(result.deep).toMatch(/^\[not sent: .*Socket/);
    expect(result.angry).toMatch(/^\[not sent: reading it threw: Error: no/);
    expect(result.after).toBe('kept');
  });

  it('may be hostile: encoding never throws', () => {
    const angry = new Proxy(new Error('e'), {
      get() {
        throw new Error('get');
      },
      has() {
        throw new Error('has');
      },
      ownKeys() {
        throw new Error('keys');
      },
      getPrototypeOf() {
        throw new Error('prototype');
      },
    });
    expect(roundTrip(angry)).toBeInstanceOf(Error);
    const odd = Object.assign(new Error('x'), {
      message: 7,
      stack: { no: 'text' },
      name: Symbol('n'),
    });
    expect(roundTrip(odd)).toMatchObject({ name: 'Symbol(n)', message: '7' });
    const long = roundTrip(new Error('m'.repeat(1_000_000)));
    expect(long.message.length).toBeLessThan(70_000);
    expect(long.message).toMatch(/… \(\d+ characters more\)$/);
    const heavy = Object.assign(new Error('e'), { body: new Uint8Array(200_000_000) });
    expect(roundTrip(heavy)).toMatchObject({
      message: 'e',
      body: expect.stringMatching(/larger than/) as string,
    });
  });

  it('any thrown value is encoded and gives an Error', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withMap: true, withSet: true, withTypedArray: true }),
        (value) => {
          const result = roundTrip(value);
          expect(result).toBeInstanceOf(Error);
          expect(roundTrip(Object.assign(new Error('e'), { value }))).toMatchObject({
            message: 'e',
          });
        },
      ),
      { numRuns: 300 },
    );
    expect(roundTrip('plain text')).toMatchObject({
      message: 'thrown: plain text',
      cause: 'plain text',
    });
    expect(roundTrip({ code: 4 }).cause).toEqual({ code: 4 });
    expect(roundTrip(() => 0)).toBeInstanceOf(Error);
    expect(roundTrip(undefined)).toHaveProperty('cause', undefined);
  });
});

describe('errors inside values', () => {
  it('are class-less errors and keep identity with the rest of the value', () => {
    const codec = createValueCodec({ revive: (_, data) => ({ revived: data }) });
    const ref = { [TRANSFERABLE]: () => ({ kind: 'ref' as const, data: 'o_1' }) };
    const error = Object.assign(new SyntaxError('s'), { ref });
    const { bytes, transferables } = codec.encode({ list: [error, error], ref }, 'value');
    expect(transferables).toEqual([ref]);
    const result = codec.decode(bytes) as { list: (Error & { ref: unknown })[]; ref: unknown };
    expect(result.list[0]).toBe(result.list[1]);
    expect(result.list[0]?.name).toBe('SyntaxError');
    expect(result.list[0]?.ref).toBe(result.ref);
  });

  it('forget refs that were part of something that could not be sent', () => {
    const codec = createValueCodec({ revive: (_, data) => ({ revived: data }) });
    const ref = { [TRANSFERABLE]: () => ({ kind: 'ref' as const, data: 'o_1' }) };
    const shared = { a: 1 };
    const error = Object.assign(new Error('e'), {
      bad: [shared, ref, new Uint8Array(200_000), () => 0],
      shared,
    });
    const { bytes, transferables } = codec.encode([error, shared], 'value');
    expect(transferables).toEqual([]);
    const [resultError, resultShared] = codec.decode(bytes) as [typeof error, typeof shared];
    expect(resultError.shared).toBe(resultShared);
    expect(resultShared).toEqual({ a: 1 });
  });
});

describe('taskErrorFrom', () => {
  it('names method, message and cause', () => {
    const cause = new RangeError('below zero');
    const error = taskErrorFrom(cause, {
      className: 'Counter',
      method: 'increment',
      actorId: 'a_1',
    });
    expect(error.message).toBe('Counter.increment failed: below zero');
    expect(error).toMatchObject({ method: 'increment', actorId: 'a_1' });
    expect(error.cause).toBe(cause);
    expect((roundTrip(error).cause as Error).name).toBe('RangeError');
  });

  it('takes whatever was thrown', () => {
    expect(taskErrorFrom('text', { method: 'f' }).message).toBe('f failed: text');
    expect(taskErrorFrom(undefined, { method: 'f' }).message).toBe('f failed: undefined');
    expect(taskErrorFrom(new RangeError(), { method: 'f' }).message).toBe('f failed: RangeError');
    expect(taskErrorFrom({ a: 1 }, { method: 'f' }).message).toBe('f failed: an object (Object)');
  });
});
