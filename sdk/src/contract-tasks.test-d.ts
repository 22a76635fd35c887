import {
  cancel,
  defineTask,
  type CallOptions,
  type ObjectRef,
  type ObjectRefStream,
  type RemoteTask,
  type SchedulingOptions,
  type TaskOptions,
} from '@manta/sdk';
import { assertType, describe, expectTypeOf, it } from 'vitest';

const add = defineTask(import.meta, (a: number, b: number) => a + b);
const later = defineTask(import.meta, async (text: string) => ({ text }), { name: 'later' });
const count = defineTask(import.meta, function* count(to: number): Generator<number> {
  yield to;
});
const words = defineTask(import.meta, async function* words(): AsyncGenerator<string> {
  yield 'word';
});
declare const numberRef: ObjectRef<number>;
declare const textRef: ObjectRef<string>;

describe('tasks', () => {
  it('take values and refs, and give refs', () => {
    expectTypeOf(add).toEqualTypeOf<RemoteTask<[a: number, b: number], number>>();
    expectTypeOf(add(1, numberRef)).toEqualTypeOf<ObjectRef<number>>();
    expectTypeOf(add(add(1, 2), 3)).toEqualTypeOf<ObjectRef<number>>();
    expectTypeOf(later('a')).toEqualTypeOf<ObjectRef<{ text: string }>>();
    // @ts-expect-error -- the argument is missing
    add(1);
    // @ts-expect-error -- of another type
    add(1, 'b');
    // @ts-expect-error -- a ref of another type
    add(1, textRef);
    // @ts-expect-error -- not a function
    defineTask(import.meta, 1);
  });

  it('give streams when they are generators', () => {
    expectTypeOf(count(1)).toEqualTypeOf<ObjectRefStream<number>>();
    expectTypeOf(words()).toEqualTypeOf<ObjectRefStream<string>>();
    expectTypeOf(words().refs()).toEqualTypeOf<AsyncIterable<ObjectRef<string>>>();
  });

  it('take options, and keep the signature', () => {
    expectTypeOf(add.options({ gpus: 1 })).toEqualTypeOf<typeof add>();
    expectTypeOf<TaskOptions>().toExtend<SchedulingOptions>();
    assertType<TaskOptions & CallOptions>({
      cpus: 1,
      name: 'name',
      maxRetries: -1,
      retryExceptions: ['RangeError'],
      maxCalls: 1,
      timeoutMs: 1,
      signal: AbortSignal.abort(),
    });
    // @ts-expect-error -- an option of actors
    add.options({ maxRestarts: 1 });
  });

  it('can be cancelled', () => {
    expectTypeOf(cancel(add(1, 2), { force: true, recursive: false })).toEqualTypeOf<
      Promise<void>
    >();
    void cancel(count(1));
  });
});
