import { describe, expect, it } from 'vitest';
import { checkActorOptions, checkInitOptions, specFrom } from './actor-options.ts';
import type { SdkSession } from './session.ts';
import type { ActorOptions } from './types.ts';

const session = {
  core: { options: { mintId: () => 'a_1' }, processId: 'p_1' },
  jobId: 'j_1',
  namespace: 'mine',
  env: { A: 'job', B: 'job' },
} as unknown as SdkSession;
const definition = {
  className: 'Model',
  reference: { moduleUrl: 'file:///m.mjs', exportKey: 'Model' },
  methods: [],
};
const spec = (options: ActorOptions) => specFrom(definition, options, session);

describe('actor options', () => {
  it.each<[keyof ActorOptions, unknown]>([
    ['cpus', -1],
    ['cpus', Number.NaN],
    ['gpus', 1.5],
    ['gpus', -0.5],
    ['memoryBytes', '1'],
    ['resources', { a: -1 }],
    ['resources', 1],
    ['gpuMemoryBytes', 0.5],
    ['acceleratorType', ''],
    ['scheduling', 'random'],
    ['scheduling', {}],
    ['labels', { a: 1 }],
    ['schedulingTimeoutMs', -1],
    ['runtimeEnv', 'x'],
    ['name', ''],
    ['namespace', 1],
    ['getIfExists', 'yes'],
    ['lifetime', 'ever'],
    ['isolation', 'fiber'],
    ['maxRestarts', -2],
    ['maxRestarts', 0.5],
    ['maxTaskRetries', Number.POSITIVE_INFINITY],
    ['retryExceptions', [1]],
    ['retryExceptions', 'all'],
    ['maxConcurrency', 0],
    ['concurrencyGroups', { io: 0 }],
    ['concurrencyGroupOf', { run: 1 }],
    ['maxPendingCalls', 0],
    ['allowOutOfOrderExecution', 1],
    ['gracefulShutdownMs', -1],
  ])(
    '%s may not be %j: the error names the option, what it must be, and what it was',
    (name, value) => {
      expect(() => checkActorOptions({ [name]: value } as ActorOptions)).toThrow(
        expect.objectContaining({
          name: 'InvalidArgumentError',
          message: expect.stringMatching(`^Actor option ${name} must be .*; got .`),
        }),
      );
    },
  );

  it('an unknown one is named, with those that are known', () => {
    expect(() => checkActorOptions({ restarts: 1 } as ActorOptions)).toThrow(
      /"restarts"; known: cpus, .*maxRestarts/,
    );
    expect(() => checkActorOptions({ toString: 1 } as never)).toThrow(
      /Unknown actor option "toString"/,
    );
  });

  it('a node has whole devices, an actor may have a share of one', () => {
    expect(() => checkInitOptions({ gpus: 1.5 })).toThrow(
      /Init option gpus must be a whole number/,
    );
    expect(() => checkActorOptions({ gpus: 0.5 })).not.toThrow();
  });

  it('those that are no object are refused', () => {
    expect(() => checkActorOptions(2 as never)).toThrow(/actor options are an object.*got 2/);
  });

  it('those that are undefined count as absent', () => {
    const options = { cpus: undefined, name: undefined } as unknown as ActorOptions;
    expect(checkActorOptions(options)).toBe(options);
  });

  it.each<[ActorOptions, RegExp]>([
    [{ getIfExists: true }, /getIfExists needs a name/],
    [{ gpus: 1, gpuMemoryBytes: 1 }, /not for both/],
    [{ concurrencyGroupOf: { run: 'io' } }, /"io", which concurrencyGroups does not define/],
    [{ concurrencyGroups: { default: 2 } }, /concurrencyGroups\.default: .* maxConcurrency/],
    [{ concurrencyGroupOf: { run: 'toString' }, concurrencyGroups: { io: 1 } }, /"toString"/],
  ])('%j contradict each other', (options, message) => {
    expect(() => spec(options)).toThrow(
      expect.objectContaining({
        name: 'InvalidArgumentError',
        message: expect.stringMatching(message),
      }),
    );
  });

  it('have their defaults in the complete form', () => {
    expect(spec({})).toMatchObject({
      namespace: 'mine',
      lifetime: 'job',
      isolation: 'process',
      maxRestarts: 0,
      maxTaskRetries: 0,
      maxConcurrency: 1,
      gracefulShutdownMs: 30_000,
      env: { A: 'job', B: 'job' },
      demand: { resources: {} },
    });
    expect(spec({ namespace: 'theirs', runtimeEnv: { env: { B: 'actor' } } })).toMatchObject({
      namespace: 'theirs',
      env: { A: 'job', B: 'actor' },
    });
  });
});
