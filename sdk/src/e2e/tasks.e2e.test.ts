import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explain, get, init, listTasks, put, shutdown, wait, type ObjectRef } from '@manta/sdk';
import { waitFor } from '@manta/runtime/testing/wait-for';
import {
  add,
  anonymous,
  anonymousToo,
  context,
  count,
  countAndFail,
  countArguments,
  echo,
  note,
  noteSlowly,
  pid,
  pidForTwo,
  spin,
  SubmitterActor,
} from './fixtures/tasks.ts';
import { failureOf, Journals } from './testing/journal.ts';

const journals = new Journals();

beforeAll(async () => {
  await init({ cpus: 4, logToDriver: false, namespace: 'tasks' });
});
afterAll(async () => {
  await shutdown();
  journals.remove();
});

describe('tasks', () => {
  it('run elsewhere and give values, in the order of their refs', async () => {
    const refs = Array.from({ length: 1_000 }, (_, index) => add(index, 1));
    expect(await get(refs)).toEqual(refs.map((_, index) => index + 1));
    expect(await pid()).not.toBe(process.pid);
  });

  it('carry rich values both ways', async () => {
    const value = { map: new Map([[1, new Set(['a'])]]), big: 2n ** 70n, at: new Date(0) };
    expect(await echo(value)).toEqual(value);
    expect(await echo(Buffer.from('bytes'))).toEqual(Buffer.from('bytes'));
    const large = Buffer.alloc(3 * 2 ** 20, 7);
    expect(((await echo(large)) as Buffer).equals(large)).toBe(true);
  });

  it('without names are told apart by their order', async () => {
    expect(await get([anonymous('a'), anonymousToo('b')])).toEqual(['first a', 'second b']);
  });

  it('know where they run', async () => {
    const first = await context();
    const second = await context();
    expect(first).toMatchObject({ namespace: 'tasks', assignedResources: { cpus: 1 }, gpuIds: [] });
    expect(first.actorId).toBeUndefined();
    expect(first.taskId).toMatch(/^t_/);
    expect(second.taskId).not.toBe(first.taskId);
  });

  it('see the variables of their environment, and those without it do not', async () => {
    const runtimeEnv = { env: { MANTA_TEST_VARIABLE: 'yes' } };
    const [withIt, without] = await get([context.options({ runtimeEnv })(), context()]);
    expect([withIt.variable, without.variable]).toEqual(['yes', undefined]);
  });

  it('take 10 000 arguments, values and refs', async () => {
    const refs = Array.from({ length: 5_000 }, (_, index) => put(index));
    const values = Array.from({ length: 5_000 }, (_, index) => index);
    expect(await countArguments(...refs, ...values)).toEqual([10_000, 2 * 12_497_500]);
  });

  it('are submitted by actors and by tasks alike', async () => {
    const actor = SubmitterActor.create();
    expect(await actor.run(100)).toBe(5_050);
  });

  it('use up their worker after maxCalls calls, whoever asks', async () => {
    const twice = pidForTwo.options({ maxCalls: 2 });
    const pids: number[] = [];
    for (let call = 0; call < 6; call += 1) pids.push(await twice());
    expect(pids[0]).toBe(pids[1]);
    expect(pids[2]).toBe(pids[3]);
    expect(pids[4]).toBe(pids[5]);
    expect(new Set(pids).size).toBe(3);
    const atOnce = await get(Array.from({ length: 6 }, () => twice()));
    for (const used of new Set(atOnce)) {
      expect(atOnce.filter((other) => other === used).length).toBeLessThanOrEqual(2);
      expect(pids).not.toContain(used);
    }
  });

  it('are listed, and for a while when they have ended', async () => {
    const journal = journals.create();
    const ref = noteSlowly(journal.file, 'listed', 3_000);
    await waitFor(() => journal.count('listed') === 1, { describe: 'it runs' });
    const running = (await listTasks()).find(({ objectId }) => objectId === ref.id);
    expect(running).toMatchObject({ name: 'noteSlowly', state: 'running' });
    await ref;
    const over = (await listTasks()).find(({ taskId }) => taskId === running?.taskId);
    expect(over).toMatchObject({ name: 'noteSlowly', state: 'finished' });
  });
});

describe('dependencies', () => {
  it('are waited for before a task takes a worker, and others pass it by', async () => {
    const journal = journals.create();
    const slow = noteSlowly(journal.file, 'slow', 400);
    const dependent = add(slow as ObjectRef<number>, 0);
    const { ready } = await wait([dependent, add(1, 1)], { numReturns: 1 });
    expect(await ready[0]).toBe(2);
    expect(await dependent).toBe(await slow);
  });

  it('make chains', async () => {
    let ref: ObjectRef<number> = add(0, 1);
    for (let length = 0; length < 50; length += 1) ref = add(ref, 1);
    expect(await ref).toBe(51);
  });

  it('that fail fail what depends on them, which does not run', async () => {
    const journal = journals.create();
    const failing = add.options({ timeoutMs: 50 })(
      noteSlowly(journal.file, 'slow', 1_000) as ObjectRef<number>,
      1,
    );
    const first = note(journal.file, failing as unknown as ObjectRef<string>);
    const second = note(journal.file, first);
    expect(await failureOf(second)).toMatchObject({ name: 'TaskTimeoutError' });
    expect(await failureOf(note(journal.file, second))).toMatchObject({ name: 'TaskTimeoutError' });
    expect(journal.lines()).toEqual(['slow']);
  });
});

describe('explain', () => {
  it('says what a task waits for, and where one runs', async () => {
    const journal = journals.create();
    const running = noteSlowly(journal.file, 'explained', 500);
    const waiting = add(running, 1);
    await waitFor(() => journal.count('explained') === 1, { describe: 'it runs' });
    expect(await explain(running)).toMatchObject({
      state: 'running',
      reason: expect.stringMatching(
        /^Task noteSlowly runs in worker process p_\w+ on node n_/,
      ) as string,
    });
    const { state, reason } = await explain(waiting);
    expect(state).toBe('waiting-for-dependencies');
    expect(reason).toContain(
      `Task add waits for its arguments: ref ${running.id} (task noteSlowly).`,
    );
    expect(reason).toMatch(/ Task noteSlowly runs in worker process p_\w+ on node n_\w+\.$/);
    await waiting;
  });
});

describe('generators', () => {
  it('give streams', async () => {
    const seen: number[] = [];
    for await (const value of count(1_000)) seen.push(value);
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, index) => index));
  });

  it('give 3 000 refs, which can be passed on unseen', async () => {
    const refs: ObjectRef<number>[] = [];
    for await (const ref of count(3_000).refs()) {
      refs.push(ref as unknown as ObjectRef<number>);
    }
    expect(refs).toHaveLength(3_000);
    expect(await countArguments(...refs)).toEqual([3_000, 4_498_500]);
  });

  it('throw at the place where they threw', async () => {
    const seen: number[] = [];
    const failure = await failureOf(
      (async () => {
        for await (const value of countAndFail(3)) seen.push(value);
      })(),
    );
    expect(seen).toEqual([0, 1, 2]);
    expect(failure).toMatchObject({ name: 'TaskError', method: 'countAndFail' });
    expect(failure.cause).toMatchObject({ name: 'RangeError', message: 'the end' });
  });

  it('end when nobody reads on, and free their worker', async () => {
    for await (const value of count(1_000_000_000)) if (value === 10) break;
    expect(await add.options({ cpus: 4, timeoutMs: 20_000 })(1, 2)).toBe(3);
  });
});

describe('time limits and signals', () => {
  it('fail the task and abort what runs', async () => {
    const journal = journals.create();
    const limited = noteSlowly.options({ timeoutMs: 100 })(journal.file, 'limited', 5_000);
    expect(await failureOf(limited)).toMatchObject({ name: 'TaskTimeoutError' });
    const controller = new AbortController();
    const ref = noteSlowly.options({ signal: controller.signal })(journal.file, 'signal', 5_000);
    await waitFor(() => journal.count('signal') === 1, { describe: 'it runs' });
    controller.abort();
    expect(await failureOf(ref)).toMatchObject({ name: 'TaskCancelledError' });
    const late = add.options({ signal: controller.signal })(1, 2);
    expect(await failureOf(late)).toMatchObject({ name: 'TaskCancelledError' });
  });

  it('refuse options that only calls of actors have', () => {
    expect(() => add.options({ idempotencyKey: 'a' })).toThrow(/idempotencyKey is for calls of/);
    expect(() => add.options({ maxRetries: -2 })).toThrow(/Task option maxRetries must be/);
    expect(() => spin.options({ nothing: 1 } as object)).toThrow(/Unknown task option "nothing"/);
  });
});
