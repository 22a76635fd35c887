import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancel, explain, get, init, kill, shutdown } from '@manta/sdk';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { coreOf } from './testing/core.ts';
import { Journals, seen } from './testing/journal.ts';
import { livesWith } from './testing/lives.ts';

const journals = new Journals();
const createLife = livesWith(journals);

beforeAll(async () => {
  await init({ cpus: 16, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  journals.remove();
});

describe('at most once, by default', () => {
  it('runs a call once and says whether the actor comes back', async () => {
    const mortal = createLife({});
    await expect(mortal.actor.crashTimes('call', 1)).rejects.toMatchObject({
      name: 'ActorDiedError',
    });
    expect(mortal.journal.lines()).toEqual(['constructed', 'call']);
    const risen = createLife({ maxRestarts: 1 });
    await expect(risen.actor.crashTimes('call', 1)).rejects.toMatchObject({
      name: 'ActorUnavailableError',
    });
    expect(await risen.actor.note('next')).toBe('next');
    expect(risen.journal.lines()).toEqual(['constructed', 'call', 'constructed', 'next']);
  });

  it('never runs a call twice that stood behind the one that crashed', async () => {
    const { actor, journal } = createLife({ maxRestarts: 1 });
    await actor.add(1);
    const calls = [actor.crashTimes('crash', 1), actor.note('behind'), actor.note('behind')];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    await actor.note('after');
    expect(journal.count('behind')).toBe(0);
  });

  it('runs calls made while it restarts, without using up retries', async () => {
    const { actor, journal } = createLife({ maxRestarts: 1 });
    await actor.add(1);
    const { pid } = await actor.where();
    process.kill(pid, 'SIGKILL');
    await waitFor(() => !isAlive(pid), { describe: 'the process is gone' });
    // What was sent into the closing connection may be lost; what is asked from now on may not.
    await expect
      .poll(
        () =>
          actor.note('waited').then(
            (line) => line,
            (error: Error) => error.name,
          ),
        { timeout: 10_000 },
      )
      .toBe('waited');
    expect(journal.count('waited')).toBe(1);
    expect((await actor.where()).restarts).toBe(1);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('at least once, with maxTaskRetries', () => {
  it('runs exactly n + 1 times', async () => {
    const { actor, journal } = createLife({ maxRestarts: -1, maxTaskRetries: 2 });
    await expect(actor.crashTimes('call', 100)).rejects.toMatchObject({
      name: 'ActorUnavailableError',
    });
    expect(journal.count('call')).toBe(3);
    expect(await actor.crashTimes('good', 2)).toBe('good');
    expect(journal.count('good')).toBe(3);
  });

  it('runs until it succeeds with -1, also when set for one call', async () => {
    const { actor, journal } = createLife({ maxRestarts: -1 });
    expect(await actor.crashTimes.options({ maxTaskRetries: -1 })('call', 4)).toBe('call');
    expect(journal.count('call')).toBe(5);
  });

  it('ends with the actor when maxRestarts is used up first', async () => {
    const { actor, journal } = createLife({ maxRestarts: 1, maxTaskRetries: -1 });
    await expect(actor.crashTimes('call', 100)).rejects.toMatchObject({ name: 'ActorDiedError' });
    expect(journal.count('call')).toBe(2);
  });

  it.each(['process', 'thread', 'shared'] as const)(
    'keeps the order of a caller over restarts and loses nothing (%s)',
    async (isolation) => {
      const { actor, journal } = createLife({ isolation, maxRestarts: -1, maxTaskRetries: -1 });
      await actor.add(1);
      const numbers = Array.from({ length: 200 }, (_, index) => String(index));
      const calls = numbers.map((line) => actor.noteSlowly(line, 2));
      for (const milestone of ['40', '90', '150']) {
        await seen(journal, milestone);
        await kill(actor, { restart: true });
      }
      expect(await get(calls)).toEqual(numbers);
      const lines = journal.lines();
      const last = numbers.map((line) => lines.lastIndexOf(line));
      expect(last).toEqual([...last].sort((a, b) => a - b));
      expect(last[0]).toBeGreaterThan(0);
      expect(journal.count('constructed')).toBe(4);
      await kill(actor);
    },
  );

  it('keeps the order when its process is killed and calls go on being made', async () => {
    const { actor, journal } = createLife({ maxRestarts: -1, maxTaskRetries: -1 });
    const calls: PromiseLike<string>[] = [];
    for (let life = 0; life < 3; life += 1) {
      const { pid } = await actor.where.options({ maxTaskRetries: -1 })();
      for (let index = 0; index < 40; index += 1) calls.push(actor.note(String(calls.length)));
      process.kill(pid, 'SIGKILL');
      for (let index = 0; index < 40; index += 1) {
        calls.push(actor.note(String(calls.length)));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const numbers = calls.map((_, index) => String(index));
    expect(await Promise.all(calls)).toEqual(numbers);
    const lines = journal.lines();
    const last = numbers.map((line) => lines.lastIndexOf(line));
    expect(last).toEqual([...last].sort((a, b) => a - b));
  });

  it('does not repeat the items of a stream', async () => {
    const { actor } = createLife({ maxRestarts: 1, maxTaskRetries: 1 });
    const items: number[] = [];
    for await (const item of actor.items(30, 12)) items.push(item);
    expect(items).toEqual(Array.from({ length: 30 }, (_, index) => index));
    const once = createLife({ maxRestarts: 1 });
    const before: number[] = [];
    const read = async (): Promise<void> => {
      for await (const item of once.actor.items(30, 12)) before.push(item);
    };
    await expect(read()).rejects.toMatchObject({ name: 'ActorUnavailableError' });
    expect(before).toEqual(Array.from({ length: before.length }, (_, index) => index));
    expect(before.length).toBeLessThanOrEqual(12);
  });

  it('does not run a cancelled call again', async () => {
    const { actor, journal } = createLife({ maxRestarts: -1, maxTaskRetries: -1 });
    const running = actor.noteAndWait('running');
    const queued = actor.note('queued');
    await seen(journal, 'running');
    await Promise.all([cancel(running), cancel(queued)]);
    await expect(running).rejects.toMatchObject({ name: 'TaskCancelledError' });
    await expect(queued).rejects.toMatchObject({ name: 'TaskCancelledError' });
    await kill(actor, { restart: true });
    await actor.note('after');
    expect(journal.lines()).toEqual(['constructed', 'running', 'constructed', 'after']);
  });
});

describe('retryExceptions', () => {
  it('retries what the method throws, within maxTaskRetries', async () => {
    const { actor, journal } = createLife({ maxTaskRetries: 3, retryExceptions: true });
    expect(await actor.throwTimes('good', 3, 'Error')).toBe('good');
    expect(journal.count('good')).toBe(4);
    await expect(actor.throwTimes('bad', 100, 'Error')).rejects.toMatchObject({
      name: 'TaskError',
    });
    expect(journal.count('bad')).toBe(4);
  });

  it('does not without it, or without retries', async () => {
    const without = createLife({ maxTaskRetries: 3 });
    await expect(without.actor.throwTimes('bad', 1, 'Error')).rejects.toMatchObject({
      name: 'TaskError',
    });
    expect(without.journal.count('bad')).toBe(1);
    const none = createLife({ retryExceptions: true });
    await expect(none.actor.throwTimes('bad', 1, 'Error')).rejects.toMatchObject({
      name: 'TaskError',
    });
    expect(none.journal.count('bad')).toBe(1);
  });

  it('retries only the named errors', async () => {
    const { actor, journal } = createLife({ maxTaskRetries: -1, retryExceptions: ['Busy'] });
    expect(await actor.throwTimes('busy', 2, 'Busy')).toBe('busy');
    await expect(actor.throwTimes('other', 2, 'Other')).rejects.toMatchObject({
      cause: { name: 'Other' },
    });
    expect([journal.count('busy'), journal.count('other')]).toEqual([3, 1]);
  });

  it('is taken from the call before the actor', async () => {
    const { actor, journal } = createLife({ maxTaskRetries: 2, retryExceptions: true });
    const off = actor.throwTimes.options({ retryExceptions: false });
    await expect(off('off', 100, 'Busy')).rejects.toMatchObject({ name: 'TaskError' });
    const listed = actor.throwTimes.options({ retryExceptions: ['Busy'], maxTaskRetries: 1 });
    await expect(listed('listed', 100, 'Busy')).rejects.toMatchObject({ name: 'TaskError' });
    await expect(listed('unlisted', 100, 'Other')).rejects.toMatchObject({ name: 'TaskError' });
    expect(['off', 'listed', 'unlisted'].map((line) => journal.count(line))).toEqual([1, 2, 1]);
    const plain = createLife({});
    const on = plain.actor.throwTimes.options({ retryExceptions: true, maxTaskRetries: 1 });
    expect(await on('on', 1, 'Busy')).toBe('on');
  });

  it('shares its retries with those for crashes', async () => {
    const { actor, journal } = createLife({
      maxRestarts: -1,
      maxTaskRetries: 2,
      retryExceptions: true,
    });
    const call = actor.noteAndWait.options({ maxTaskRetries: 2 })('waits');
    for (let life = 1; life <= 2; life += 1) {
      await seen(journal, 'waits', life);
      await kill(actor, { restart: true });
    }
    await seen(journal, 'waits', 3);
    await kill(actor, { restart: true });
    await expect(call).rejects.toMatchObject({ name: 'ActorUnavailableError' });
    expect(journal.count('waits')).toBe(3);
  });

  it('takes up a stream where it broke', async () => {
    const { actor, journal } = createLife({ maxTaskRetries: 1, retryExceptions: true });
    const items: number[] = [];
    for await (const item of actor.throwingItems(5, 'stream')) items.push(item);
    expect(items).toEqual([0, 1, 2, 3, 4]);
    expect(journal.count('stream')).toBe(2);
  });
});

describe('idempotency keys', () => {
  it('gives later calls the first result, failures included', async () => {
    const { actor, journal } = createLife({});
    const note = actor.note.options({ idempotencyKey: 'a' });
    expect(
      await get([
        note('first'),
        note('second'),
        actor.note.options({ idempotencyKey: 'b' })('third'),
      ]),
    ).toEqual(['first', 'first', 'third']);
    const fail = actor.throwTimes.options({ idempotencyKey: 'c' });
    const outcomes = await Promise.allSettled([fail('x', 1, 'Error'), fail('y', 1, 'Error')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(journal.lines()).toEqual(['constructed', 'first', 'third', 'x']);
  });

  it('runs again what failed where retryExceptions says so, and nobody else does', async () => {
    const { actor, journal } = createLife({});
    const key = { idempotencyKey: 'r' };
    const patient = actor.throwTimes.options({ ...key, retryExceptions: true, maxTaskRetries: 3 });
    expect(await patient('patient', 2, 'Error')).toBe('patient');
    expect(await actor.throwTimes.options(key)('other', 2, 'Error')).toBe('patient');
    expect(journal.lines()).toEqual(['constructed', 'patient', 'patient', 'patient']);
  });

  it('keeps the refs inside a result for later calls when the first ones have given them back', async () => {
    const { actor, journal } = createLife({});
    const putInside = actor.putInside.options({ idempotencyKey: 'k' });
    // Nothing of the first value is reachable from here.
    const readFirst = async (): Promise<string> => {
      const call = putInside('first');
      const { ref } = await call;
      expect(await ref).toBe('put by first');
      return ref.id;
    };
    const id = await readFirst();
    const { borrowed } = coreOf(actor.add(1)).objects;
    await waitFor(
      async () => {
        await collectGarbage();
        return !borrowed.holds(id as never);
      },
      { describe: 'the ref is given back' },
    );
    const { ref } = await putInside('second');
    expect(ref.id).toBe(id);
    expect(await ref).toBe('put by first');
    expect(journal.lines()).toEqual(['constructed', 'first']);
  });

  it('puts large results into the store, one for each caller', async () => {
    const { actor, journal } = createLife({});
    const bytes = actor.bytes.options({ idempotencyKey: 'k' });
    const length = 1024 * 1024;
    const refs = [bytes('first', length), bytes('second', length)];
    for (const ref of refs) {
      const value = await ref;
      expect([value.length, value.at(-1)]).toEqual([length, 7]);
      expect((await explain(ref)).reason).toContain('in the shared memory of node');
    }
    expect(journal.lines()).toEqual(['constructed', 'first']);
  });

  it('forgets its keys with a life of the actor', async () => {
    const { actor, journal } = createLife({ maxRestarts: 1, maxTaskRetries: 1 });
    const note = actor.note.options({ idempotencyKey: 'k' });
    expect(await note('first')).toBe('first');
    await actor.crashTimes('crash', 1);
    expect(await note('second')).toBe('second');
    expect(journal.count('first')).toBe(1);
  });

  it('lets the next call run when the first was cancelled before it ran', async () => {
    const { actor, journal } = createLife({});
    const blocker = actor.noteSlowly('blocker', 100);
    const note = actor.note.options({ idempotencyKey: 'k' });
    const [first, second, third] = [note('first'), note('second'), note('third')];
    await seen(journal, 'blocker');
    await cancel(first);
    expect(await get([second, third])).toEqual(['second', 'second']);
    await blocker;
    expect(journal.lines()).toEqual(['constructed', 'blocker', 'second']);
  });
});
