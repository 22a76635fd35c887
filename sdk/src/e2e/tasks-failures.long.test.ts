import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancel, explain, get, init, shutdown } from '@manta/sdk';
import { waitFor } from '@manta/runtime/testing/wait-for';
import {
  add,
  countAndCrash,
  crashTimes,
  failTimes,
  note,
  notePid,
  noteSlowly,
  noteUntilAborted,
  parentOfAborted,
  pid,
  spin,
  spinWhen,
} from './fixtures/tasks.ts';
import { failureOf, Journals, seen } from './testing/journal.ts';

const journals = new Journals();

beforeAll(async () => {
  await init({ cpus: 2, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  journals.remove();
});

describe('a worker that dies', () => {
  it('has its task run again, three times by default', async () => {
    const journal = journals.create();
    expect(await crashTimes(journal.file, 'lucky', 3)).toBe('lucky');
    expect(journal.count('lucky')).toBe(4);
  });

  it('fails a task whose retries are used up, and says why', async () => {
    const journal = journals.create();
    const failure = await failureOf(crashTimes(journal.file, 'unlucky', 100));
    expect(failure).toMatchObject({ name: 'WorkerCrashedError', code: 'MANTA_WORKER_CRASHED' });
    expect(failure.message).toMatch(
      /^The worker of task crashTimes died .*no retry is left \(maxRetries 3\): process \d+ on node n_\w+ ended with signal SIGKILL.*; its log: manta logs n_\w+ --file host-p_\w+\.err$/,
    );
    expect(failure.cause).toMatchObject({
      deathCause: { kind: 'process-died', signal: 'SIGKILL' },
    });
    expect(journal.count('unlucky')).toBe(4);
  });

  it('never has a task with maxRetries 0 run again', async () => {
    const journal = journals.create();
    const once = crashTimes.options({ maxRetries: 0 });
    expect(await failureOf(once(journal.file, 'once', 100))).toMatchObject({
      name: 'WorkerCrashedError',
    });
    expect(journal.count('once')).toBe(1);
  });

  it('costs no task that had not started a run or a retry', async () => {
    const journal = journals.create();
    const slow = notePid.options({ maxRetries: 1 })(journal.file, 500);
    const others = Array.from({ length: 50 }, (_, index) =>
      note.options({ maxRetries: 0 })(journal.file, `other ${index}`),
    );
    await waitFor(() => journal.lines().some((line) => /^\d+$/.test(line)), {
      describe: 'it runs',
    });
    const first = Number(journal.lines().find((line) => /^\d+$/.test(line)));
    process.kill(first, 'SIGKILL');
    await get(others);
    expect(await slow).not.toBe(first);
    for (let index = 0; index < 50; index += 1) expect(journal.count(`other ${index}`)).toBe(1);
  });

  it('has a stream go on where it was', async () => {
    const journal = journals.create();
    const items: number[] = [];
    for await (const value of countAndCrash(journal.file, 20, 10)) items.push(value);
    expect(items).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(journal.count('run')).toBe(2);
  });
});

describe('errors', () => {
  it('are those that the function threw', async () => {
    const journal = journals.create();
    const failure = await failureOf(failTimes(journal.file, 1, 'OddError'));
    expect(failure).toMatchObject({ name: 'TaskError', method: 'failTimes' });
    expect(failure.cause).toMatchObject({ name: 'OddError', message: 'it fails' });
    expect(failure['actorId']).toBeUndefined();
    expect(journal.count('run')).toBe(1);
  });

  it('are retried where retryExceptions says so, as often as maxRetries', async () => {
    const all = journals.create();
    expect(await failTimes.options({ retryExceptions: true })(all.file, 3, 'OddError')).toBe('ran');
    expect(all.count('run')).toBe(4);
    const named = journals.create();
    const onlyOdd = failTimes.options({ retryExceptions: ['OddError'], maxRetries: 1 });
    expect(await failureOf(onlyOdd(named.file, 5, 'OddError'))).toMatchObject({
      name: 'TaskError',
    });
    expect(named.count('run')).toBe(2);
    const other = journals.create();
    await failureOf(onlyOdd(other.file, 5, 'OtherError'));
    expect(other.count('run')).toBe(1);
  });
});

describe('cancel', () => {
  it('ends a queued task, which never runs', async () => {
    const journal = journals.create();
    const running = [1, 2].map((number) => noteSlowly(journal.file, `running ${number}`, 600));
    await seen(journal, 'running 1');
    await seen(journal, 'running 2');
    const queued = note(journal.file, 'queued');
    await cancel(queued);
    expect(await failureOf(queued)).toMatchObject({ name: 'TaskCancelledError' });
    await get(running);
    expect(await note(journal.file, 'after')).toBe('after');
    expect(journal.count('queued')).toBe(0);
  });

  it('aborts the signal of a running task', async () => {
    const journal = journals.create();
    const ref = noteUntilAborted(journal.file, 'running');
    await seen(journal, 'running');
    await cancel(ref);
    expect(await failureOf(ref)).toMatchObject({ name: 'TaskCancelledError' });
    await seen(journal, 'running aborted');
  });

  it('leaves a finished task as it is', async () => {
    const ref = add(1, 2);
    await ref;
    await cancel(ref, { force: true });
    expect(await ref).toBe(3);
  });

  it.each([
    ['at once', false],
    ['after it was cancelled without, and did not listen', true],
  ])('with force kills the worker, at no cost for others: %s', async (_when, isAsked) => {
    const journal = journals.create();
    const spinning = spin(journal.file);
    const others = Array.from({ length: 20 }, (_, index) => note(journal.file, `other ${index}`));
    await waitFor(() => journal.lines().some((line) => line.startsWith('spinning')), {
      describe: 'it spins',
    });
    if (isAsked) await cancel(spinning);
    await cancel(spinning, { force: true });
    expect(await failureOf(spinning)).toMatchObject({ name: 'TaskCancelledError' });
    await get(others);
    for (let index = 0; index < 20; index += 1) expect(journal.count(`other ${index}`)).toBe(1);
    expect(journal.lines().filter((line) => line.startsWith('spinning'))).toHaveLength(1);
    await waitFor(async () => (await get([pid(), pid()])).length === 2, { describe: 'room again' });
  });

  it('with force kills the worker whichever of its tasks are cancelled with the one that runs', async () => {
    const journal = journals.create();
    // Quick so far: several are sent to one worker.
    await get(Array.from({ length: 100 }, () => spinWhen(journal.file, false)));
    const spinning = Array.from({ length: 8 }, () => spinWhen(journal.file, true));
    await waitFor(() => journal.lines().length > 0, { describe: 'it spins' });
    for (const ref of spinning) await cancel(ref, { force: true });
    for (const ref of spinning)
      expect(await failureOf(ref)).toMatchObject({ name: 'TaskCancelledError' });
    // No worker that spins has kept a CPU.
    expect(await add.options({ cpus: 2 })(1, 2)).toBe(3);
  });

  it('reaches what the task has submitted, unless told otherwise', async () => {
    const journal = journals.create();
    const parent = parentOfAborted(journal.file, 2);
    await seen(journal, 'child 0');
    await seen(journal, 'child 1');
    await cancel(parent);
    expect(await failureOf(parent)).toMatchObject({ name: 'TaskCancelledError' });
    await seen(journal, 'child 0 aborted');
    await seen(journal, 'child 1 aborted');
  });
});

describe('cancel without recursion', () => {
  it('leaves what the task has submitted', async () => {
    const journal = journals.create();
    const parent = parentOfAborted(journal.file, 1);
    await seen(journal, 'child 0');
    await cancel(parent, { recursive: false });
    expect(await failureOf(parent)).toMatchObject({ name: 'TaskCancelledError' });
    expect(await note(journal.file, 'after')).toBe('after');
    expect(journal.count('child 0 aborted')).toBe(0);
  });
});

describe('what cannot be placed', () => {
  it('fails after schedulingTimeoutMs, with the reason of each node', async () => {
    const failure = await failureOf(add.options({ cpus: 1_000, schedulingTimeoutMs: 200 })(1, 2));
    expect(failure).toMatchObject({ name: 'InfeasibleError' });
    expect(Object.values(failure['perNode'] as Record<string, string>).join()).toMatch(/cpus/i);
    expect(failure.message).toMatch(
      /^Task add could not be placed\. No node .*Node n_\w+ needs 1000 CPUs, has \d.*Ask for less/,
    );
  });

  it('says why it waits when asked', async () => {
    const waiting = add.options({ cpus: 1_000 })(1, 2);
    await waitFor(async () => (await explain(waiting)).perNode !== undefined, {
      describe: 'the reason per node',
    });
    const answer = await explain(waiting);
    expect(answer.state).toBe('queued');
    expect(answer.reason).toContain('add');
    await cancel(waiting);
  });
});
