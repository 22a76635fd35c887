import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, init, kill, listActors, MantaError, ready, shutdown, stop } from '@manta/sdk';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { StillbornActor } from './fixtures/lives.ts';
import { failureOf, Journals } from './testing/journal.ts';
import { livesWith } from './testing/lives.ts';

const journals = new Journals();
const createLife = livesWith(journals);
const ISOLATIONS = ['process', 'thread', 'shared'] as const;

beforeAll(async () => {
  await init({ cpus: 16, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  journals.remove();
});

async function restarts(actor: ReturnType<typeof createLife>['actor']): Promise<number> {
  return (await actor.where()).restarts;
}

describe.each(ISOLATIONS)('isolation %s', (isolation) => {
  it('never restarts after an error of the constructor', async () => {
    const journal = journals.create();
    const actor = StillbornActor.options({ isolation, maxRestarts: -1, maxTaskRetries: -1 }).create(
      journal.file,
    );
    const error = await failureOf(actor.ping());
    expect(MantaError.is(error, 'ActorDiedError')).toBe(true);
    expect(error).toMatchObject({
      deathCause: { kind: 'constructor-failed', message: expect.stringContaining('not today') },
      cause: { name: 'TypeError', message: 'not today', cause: { message: 'the root' } },
    });
    await expect(ready(actor)).rejects.toMatchObject({ name: 'ActorDiedError' });
    expect(journal.lines()).toEqual(['constructed']);
  });

  it('restarts exactly so often as maxRestarts says, without its state', async () => {
    const { actor, journal } = createLife({ isolation, maxRestarts: 2 });
    for (const life of [0, 1]) {
      expect(await actor.add(5)).toBe(5);
      expect(await restarts(actor)).toBe(life);
      await expect(actor.crash('exit')).rejects.toMatchObject({ name: 'ActorUnavailableError' });
    }
    expect(await actor.add(5)).toBe(5);
    expect(await restarts(actor)).toBe(2);
    await expect(actor.crash('exit')).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'process-died', exitCode: 7 },
    });
    await expect(actor.add(5)).rejects.toMatchObject({ name: 'ActorDiedError' });
    expect(journal.lines()).toEqual(['constructed', 'constructed', 'constructed']);
  });

  it('never restarts after kill(), and by its rule after kill({ restart: true })', async () => {
    const { actor, journal } = createLife({ isolation, maxRestarts: 1 });
    await actor.add(5);
    const running = actor.noteAndWait('running');
    const queued = actor.note('queued');
    await waitFor(() => journal.count('running') === 1, { describe: 'the call runs' });
    await kill(actor, { restart: true });
    await expect(running).rejects.toMatchObject({ name: 'ActorUnavailableError' });
    await expect(queued).rejects.toMatchObject({ name: 'ActorUnavailableError' });
    expect(await actor.add(1)).toBe(1);
    expect(await restarts(actor)).toBe(1);
    await kill(actor, { restart: true });
    await expect(actor.add(1)).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'killed' },
    });

    const other = createLife({ isolation, maxRestarts: -1 });
    const underWay = other.actor.noteAndWait('running');
    await waitFor(() => other.journal.count('running') === 1, { describe: 'the call runs' });
    await kill(other.actor);
    await expect(underWay).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'killed' },
    });
    await expect(other.actor.add(1)).rejects.toMatchObject({ name: 'ActorDiedError' });
    expect(other.journal.count('constructed')).toBe(1);
  });

  it('never restarts after exitActor() and stop()', async () => {
    const left = createLife({ isolation, maxRestarts: -1, maxTaskRetries: -1 });
    await expect(left.actor.leave()).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'exited' },
    });
    await expect(left.actor.add(1)).rejects.toMatchObject({ name: 'ActorDiedError' });
    const stopped = createLife({ isolation, maxRestarts: -1 });
    const last = stopped.actor.noteSlowly('last', 20);
    await stop(stopped.actor);
    expect(await last).toBe('last');
    await expect(stopped.actor.add(1)).rejects.toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'stopped' },
    });
    expect([left.journal.count('constructed'), stopped.journal.count('constructed')]).toEqual([
      1, 1,
    ]);
  });

  it('says how it ended', async () => {
    const { actor } = createLife({ isolation, maxRestarts: 0 });
    const error = await failureOf(actor.crash('uncaught'));
    expect(error).toMatchObject({
      name: 'ActorDiedError',
      deathCause: { kind: 'process-died', exitCode: 1 },
    });
    expect((error['deathCause'] as { message: string }).message).toContain('nobody caught this');
    const [info] = (await listActors({ className: 'Life', state: 'dead' })).filter(
      ({ actorId }) => actorId === error['actorId'],
    );
    expect(info).toMatchObject({ deathCause: { exitCode: 1 }, restarts: 0 });
  });

  it('restarts without end with -1, also from a signal', async () => {
    const { actor } = createLife({ isolation, maxRestarts: -1 });
    for (let life = 0; life < 3; life += 1) {
      expect(await restarts(actor)).toBe(life);
      await expect(actor.crash('SIGKILL')).rejects.toMatchObject({ name: 'ActorUnavailableError' });
    }
    expect(await restarts(actor)).toBe(3);
    await kill(actor);
  });
});

it('names the signal that ended it', async () => {
  const { actor } = createLife({ maxRestarts: 0 });
  await expect(actor.crash('SIGKILL')).rejects.toMatchObject({
    name: 'ActorDiedError',
    deathCause: { kind: 'process-died', signal: 'SIGKILL' },
  });
});

it('ends all actors of a shared host with it, each by its own rule', async () => {
  const rules = [0, 1, -1].map(
    (maxRestarts) => createLife({ isolation: 'shared', maxRestarts }).actor,
  );
  const pids = await get(rules.map((actor) => actor.where()));
  expect(new Set(pids.map(({ pid }) => pid)).size).toBe(1);
  const bystanders = rules.map((actor) => actor.noteAndWait('running'));
  const failures = Promise.all(bystanders.map(failureOf));
  process.kill(pids[0]?.pid ?? 0, 'SIGKILL');
  const reasons = await failures;
  expect(reasons.map(({ name }) => name)).toEqual([
    'ActorDiedError',
    'ActorUnavailableError',
    'ActorUnavailableError',
  ]);
  const [dead, once, always] = rules;
  await expect(dead?.add(1)).rejects.toMatchObject({ deathCause: { signal: 'SIGKILL' } });
  expect(await get([once!.add(1), always!.add(1)])).toEqual([1, 1]);
  const { pid, restarts: life } = await once!.where();
  expect(life).toBe(1);
  process.kill(pid, 'SIGKILL');
  await expect(once!.add(1)).rejects.toMatchObject({ name: 'ActorDiedError' });
  await waitFor(async () => (await restarts(always!)) === 2, { describe: 'the second restart' });
});
