import {
  actorIdOf,
  cancel,
  defineActor,
  exitActor,
  free,
  get,
  getActor,
  kill,
  put,
  ready,
  runtimeContext,
  self,
  stop,
  wait,
  type ActorClass,
  type ActorHandle,
  type ActorOptions,
  type AnyActorHandle,
  type CallOptions,
  type ObjectRef,
  type ObjectRefStream,
  type RemoteMethod,
  type RuntimeContext,
  type RuntimeEnv,
  type SchedulingOptions,
  type WithRefs,
} from '@manta/sdk';
import { assertType, describe, expectTypeOf, it } from 'vitest';

class Base {
  inherited(): string {
    return '';
  }
}
class Model extends Base {
  readonly size: number;
  private secret = 1;
  constructor(size: number, name?: string) {
    super();
    this.size = size + this.secret + (name ?? '').length;
  }
  run(input: string, times = 1): number {
    return input.length * times;
  }
  async later(flag: boolean): Promise<{ flag: boolean }> {
    return { flag };
  }
  either(): string | number {
    return 1;
  }
  flag(): boolean {
    return true;
  }
  fails(): never {
    throw new Error();
  }
  // oxlint-disable-next-line typescript/no-explicit-any -- what a handle makes of any is tested
  anything(value: any): any {
    return value;
  }
  list(): string[] {
    return [];
  }
  map(): Map<string, number> {
    return new Map();
  }
  *numbers(): Generator<number, string> {
    yield 1;
    return '';
  }
  async *words(from: string): AsyncGenerator<string> {
    yield from;
  }
  iterable(): AsyncIterable<Date> {
    return (async function* () {})();
  }
  iterator(): IterableIterator<bigint> {
    return [1n].values();
  }
  protected hidden(): void {}
}

declare const meta: ImportMeta;
const ModelActor = defineActor(meta, Model, { maxRestarts: 1 });
declare const handle: ActorHandle<Model>;
declare const numberRef: ObjectRef<number>;
declare const textRef: ObjectRef<string>;

describe('actors', () => {
  it('are defined by a class, its options, and import.meta', () => {
    expectTypeOf(ModelActor).toEqualTypeOf<ActorClass<Model, [size: number, name?: string]>>();
    expectTypeOf(ModelActor.options({ name: 'm' })).toEqualTypeOf<typeof ModelActor>();
    expectTypeOf(ModelActor.create(1)).toEqualTypeOf<ActorHandle<Model>>();
    ModelActor.create(numberRef, textRef);
    // @ts-expect-error -- the constructor needs a size
    ModelActor.create();
    // @ts-expect-error -- of another type
    ModelActor.create('1');
    // @ts-expect-error -- a ref of another type
    ModelActor.create(textRef);
    // @ts-expect-error -- too many
    ModelActor.create(1, 'a', 2);
    // @ts-expect-error -- no class
    defineActor(meta, () => ({}));
    // @ts-expect-error -- no module
    defineActor(Model);
  });

  it('have the options of the contract', () => {
    assertType<ActorOptions>({
      name: 'n',
      namespace: 's',
      getIfExists: true,
      lifetime: 'detached',
      isolation: 'shared',
      maxRestarts: -1,
      maxTaskRetries: 2,
      retryExceptions: ['RangeError'],
      maxConcurrency: 4,
      concurrencyGroups: { io: 2 },
      concurrencyGroupOf: { run: 'io' },
      maxPendingCalls: 10,
      allowOutOfOrderExecution: true,
      gracefulShutdownMs: 1,
      cpus: 1,
      gpus: 1,
      memoryBytes: 1,
      resources: { a: 1 },
      gpuMemoryBytes: 1,
      acceleratorType: 'H100',
      scheduling: { nodeId: 'n', soft: true },
      labels: { zone: 'in(a,b)' },
      schedulingTimeoutMs: 1,
      runtimeEnv: { env: {} },
    });
    assertType<ActorOptions>({
      retryExceptions: true,
      scheduling: 'spread',
      lifetime: 'job',
      isolation: 'thread',
    });
    expectTypeOf<ActorOptions>().toExtend<SchedulingOptions>();
    expectTypeOf<RuntimeEnv['env']>().toEqualTypeOf<Record<string, string> | undefined>();
    // @ts-expect-error -- no such isolation
    ModelActor.options({ isolation: 'fiber' });
    // @ts-expect-error -- no such option
    ModelActor.options({ restarts: 1 });
    // @ts-expect-error -- no such policy
    ModelActor.options({ scheduling: 'random' });
  });
});

describe('handles', () => {
  it('have the public methods, inherited ones too, with refs as arguments', () => {
    expectTypeOf(handle.run).toEqualTypeOf<RemoteMethod<[input: string, times?: number], number>>();
    expectTypeOf<WithRefs<[string, number]>>().toEqualTypeOf<
      [string | ObjectRef<string>, number | ObjectRef<number>]
    >();
    expectTypeOf(handle.run('a')).toEqualTypeOf<ObjectRef<number>>();
    expectTypeOf(handle.inherited()).toEqualTypeOf<ObjectRef<string>>();
    handle.run(textRef, numberRef);
    handle.run(handle.either() as ObjectRef<string>, handle.run('b'));
    // @ts-expect-error -- the argument is missing
    handle.run();
    // @ts-expect-error -- of another type
    handle.run(1);
    // @ts-expect-error -- a ref of another type
    handle.run(numberRef);
    // @ts-expect-error -- no such method
    handle.walk();
    // @ts-expect-error -- a field is no method
    void handle.size;
    // @ts-expect-error -- protected
    handle.hidden();
    // @ts-expect-error -- private
    void handle.secret;
  });

  it('are no promises', () => {
    // @ts-expect-error -- `then` is undefined
    void handle.then;
    expectTypeOf<Awaited<ActorHandle<Model>>>().toEqualTypeOf<ActorHandle<Model>>();
    expectTypeOf(handle).toExtend<AnyActorHandle>();
    // @ts-expect-error -- a plain object is no handle
    actorIdOf({});
  });

  it('give refs of what is awaited, streams of what is iterated', () => {
    expectTypeOf(handle.later(true)).toEqualTypeOf<ObjectRef<{ flag: boolean }>>();
    expectTypeOf(handle.either()).toEqualTypeOf<ObjectRef<string | number>>();
    expectTypeOf(handle.flag()).toEqualTypeOf<ObjectRef<boolean>>();
    expectTypeOf(handle.fails()).toEqualTypeOf<ObjectRef<never>>();
    // oxlint-disable-next-line typescript/no-explicit-any -- as above
    expectTypeOf(handle.anything(1)).toEqualTypeOf<ObjectRef<any>>();
    expectTypeOf(handle.list()).toEqualTypeOf<ObjectRef<string[]>>();
    expectTypeOf(handle.map()).toEqualTypeOf<ObjectRef<Map<string, number>>>();
    expectTypeOf(handle.numbers()).toEqualTypeOf<ObjectRefStream<number>>();
    expectTypeOf(handle.words(textRef)).toEqualTypeOf<ObjectRefStream<string>>();
    expectTypeOf(handle.iterable()).toEqualTypeOf<ObjectRefStream<Date>>();
    expectTypeOf(handle.iterator()).toEqualTypeOf<ObjectRefStream<bigint>>();
    expectTypeOf(handle.numbers().refs()).toEqualTypeOf<AsyncIterable<ObjectRef<number>>>();
    expectTypeOf(handle.numbers().cancel()).toEqualTypeOf<void>();
    expectTypeOf<Awaited<ReturnType<typeof handle.later>>>().toEqualTypeOf<{ flag: boolean }>();
  });

  it('take options per call and keep the signature', () => {
    expectTypeOf(handle.run.options({ timeoutMs: 1 })).toEqualTypeOf<typeof handle.run>();
    const all: Required<CallOptions> = {
      maxTaskRetries: 1,
      retryExceptions: ['E'],
      concurrencyGroup: 'g',
      timeoutMs: 1,
      signal: AbortSignal.abort(),
      idempotencyKey: 'k',
      maxBufferedItems: 1,
    };
    expectTypeOf(handle.words.options(all)('a')).toEqualTypeOf<ObjectRefStream<string>>();
    // @ts-expect-error -- no such option
    handle.run.options({ timeout: 1 });
  });

  it('are found by name, watched, ended, and known inside', () => {
    expectTypeOf(getActor<Model>('m', { namespace: 'n' })).toEqualTypeOf<
      Promise<ActorHandle<Model>>
    >();
    const found = getActor('m');
    void found.then((unknownActor) => unknownActor.whatever(1, 'a').catch(() => undefined));
    expectTypeOf(found.then((actor) => actor)).toExtend<Promise<AnyActorHandle>>();
    expectTypeOf(ready(handle, { timeoutMs: 1 })).toEqualTypeOf<Promise<void>>();
    expectTypeOf(kill(handle, { restart: true })).toEqualTypeOf<Promise<void>>();
    expectTypeOf(stop(handle)).toEqualTypeOf<Promise<void>>();
    expectTypeOf(actorIdOf(handle)).toEqualTypeOf<string>();
    expectTypeOf(runtimeContext()).toEqualTypeOf<RuntimeContext>();
    expectTypeOf<RuntimeContext>().toExtend<{
      clusterId: string;
      jobId: string;
      nodeId: string;
      namespace: string;
      restarts: number;
      gpuIds: string[];
      assignedResources: Record<string, number>;
      signal: AbortSignal;
    }>();
    expectTypeOf<Pick<RuntimeContext, 'actorId' | 'actorName' | 'taskId'>>().toEqualTypeOf<{
      actorId?: string;
      actorName?: string;
      taskId?: string;
    }>();
    expectTypeOf(self<Model>()).toEqualTypeOf<ActorHandle<Model>>();
    expectTypeOf(exitActor).returns.toEqualTypeOf<never>();
    // @ts-expect-error -- a ref is no handle
    void kill(numberRef);
  });
});

describe('objects', () => {
  it('are typed futures', () => {
    expectTypeOf(put({ a: 1 })).toEqualTypeOf<ObjectRef<{ a: number }>>();
    expectTypeOf(get(numberRef)).toEqualTypeOf<Promise<number>>();
    expectTypeOf(get([numberRef, textRef])).resolves.toEqualTypeOf<[number, string]>();
    expectTypeOf(
      get(
        [numberRef, numberRef].map((ref) => ref),
        { timeoutMs: 1 },
      ),
    ).resolves.toEqualTypeOf<number[]>();
    expectTypeOf(
      wait([numberRef], { numReturns: 1, timeoutMs: 1, fetchLocal: false }),
    ).resolves.toEqualTypeOf<{ ready: ObjectRef<number>[]; pending: ObjectRef<number>[] }>();
    expectTypeOf(free([numberRef, textRef])).toEqualTypeOf<Promise<void>>();
    expectTypeOf(cancel(numberRef, { force: true, recursive: false })).toEqualTypeOf<
      Promise<void>
    >();
    expectTypeOf(cancel(handle.numbers())).toEqualTypeOf<Promise<void>>();
    expectTypeOf(numberRef.id).toEqualTypeOf<string>();
    expectTypeOf(numberRef.then((value) => value)).toExtend<PromiseLike<number>>();
    expectTypeOf(numberRef.catch(() => 'other')).toEqualTypeOf<Promise<number | string>>();
    expectTypeOf(numberRef.finally(() => undefined)).toEqualTypeOf<Promise<number>>();
    expectTypeOf(numberRef).toExtend<Disposable>();
    expectTypeOf<Awaited<typeof numberRef>>().toEqualTypeOf<number>();
    // @ts-expect-error -- a stream is no ref
    void get(handle.numbers());
    // @ts-expect-error -- a value is no ref
    void wait([1]);
  });
});
