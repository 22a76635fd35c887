import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancel, init, put, shutdown } from '@manta/sdk';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { BossActor, callOfActor, WaiterActor } from './fixtures/cancelling.ts';
import { add, noteUntilAborted, spin } from './fixtures/tasks.ts';
import { failureOf, Journals, type Journal } from './testing/journal.ts';

const journals = new Journals();

beforeAll(async () => {
  await init({ cpus: 2, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  journals.remove();
});

const seen = (journal: Journal, ...lines: string[]) =>
  waitFor(() => lines.every((line) => journal.count(line) > 0), { describe: lines.join(', ') });
const cancelled = { name: 'TaskCancelledError' };

describe('cancel of a ref that came from another process', () => {
  it('reaches the call and the task of its owner', async () => {
    const journal = journals.create();
    const call = WaiterActor.create().noteUntilAborted(journal.file, 'call');
    const task = noteUntilAborted(journal.file, 'task');
    await seen(journal, 'call', 'task');
    await BossActor.create().cancel([call, task]);
    expect(await failureOf(call)).toMatchObject(cancelled);
    expect(await failureOf(task)).toMatchObject(cancelled);
    await seen(journal, 'call aborted', 'task aborted');
  });

  it('carries its options', async () => {
    const journal = journals.create();
    const boss = BossActor.create();
    const spinning = spin(journal.file);
    const parent = BossActor.create().submit(journal.file, 'parent');
    await waitFor(() => journal.lines().length === 3, { describe: 'all run' });
    await boss.cancel([spinning], { force: true });
    await boss.cancel([parent], { recursive: false });
    expect(await failureOf(spinning)).toMatchObject(cancelled);
    expect(await failureOf(parent)).toMatchObject(cancelled);
    // The CPU of the one that spun is free again.
    expect(await add.options({ cpus: 2 })(1, 2)).toBe(3);
    expect(journal.lines()).not.toContain('parent, call aborted');
  });

  it('leaves what is over, and what was put', async () => {
    const boss = BossActor.create();
    const done = add(1, 2);
    const value = put({ is: 'put' });
    await done;
    await boss.cancel([done, value]);
    expect(await done).toBe(3);
    expect(await value).toEqual({ is: 'put' });
  });
});

describe('cancel of a call of an actor', () => {
  it('reaches the tasks and calls that it has submitted, and theirs', async () => {
    const journal = journals.create();
    const parent = BossActor.create().delegate(journal.file, 'child');
    await seen(journal, 'child, task', 'child, call');
    await cancel(parent);
    expect(await failureOf(parent)).toMatchObject(cancelled);
    await seen(journal, 'child, task aborted', 'child, call aborted');
  });

  it('leaves them where it is told so', async () => {
    const journal = journals.create();
    const parent = BossActor.create().submit(journal.file, 'child');
    await seen(journal, 'child, task', 'child, call');
    await cancel(parent, { recursive: false });
    expect(await failureOf(parent)).toMatchObject(cancelled);
    const after = BossActor.create().submit(journal.file, 'after');
    await seen(journal, 'after, task', 'after, call');
    expect(journal.lines().filter((line) => line.endsWith('aborted'))).toEqual([]);
    await cancel(after);
  });

  it.each(['submit', 'submitLater'] as const)(
    'reaches those of this call alone where several run at a time: %s',
    async (method) => {
      const journal = journals.create();
      const boss = BossActor.options({ maxConcurrency: 3 }).create();
      const one = boss[method](journal.file, 'one');
      const other = boss[method](journal.file, 'other');
      await seen(journal, 'one, task', 'one, call', 'other, task', 'other, call');
      await cancel(one);
      await seen(journal, 'one, task aborted', 'one, call aborted');
      expect(journal.count('other, task aborted') + journal.count('other, call aborted')).toBe(0);
      await cancel(other);
      await seen(journal, 'other, task aborted', 'other, call aborted');
    },
  );

  it('that has run out of time reaches them as well', async () => {
    const journal = journals.create();
    const boss = BossActor.create();
    const parent = boss.submit.options({ timeoutMs: 3_000 })(journal.file, 'child');
    await seen(journal, 'child, task', 'child, call');
    expect(await failureOf(parent)).toMatchObject({ name: 'TaskTimeoutError' });
    await seen(journal, 'child, task aborted', 'child, call aborted');
  });
});

describe('cancel of a task', () => {
  it('reaches the calls of actors that it has submitted', async () => {
    const journal = journals.create();
    const parent = callOfActor(journal.file, 'child');
    await seen(journal, 'child');
    await cancel(parent);
    expect(await failureOf(parent)).toMatchObject(cancelled);
    await seen(journal, 'child aborted');
  });
});
