import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { actorIdOf, init, listActors, shutdown, stop, type AnyActorHandle } from '@manta/sdk';
import { LingererActor } from './fixtures/lingerers.ts';

beforeAll(async () => {
  await init({ cpus: 8, logToDriver: false });
});
afterAll(() => shutdown());

const stopped = (handle: AnyActorHandle) =>
  waitFor(
    async () => {
      const info = (await listActors()).find(({ actorId }) => actorId === actorIdOf(handle));
      return (
        info?.state === 'dead' && info.deathCause?.kind === 'stopped' && info.pid === undefined
      );
    },
    { describe: 'the actor has ended, and its node has said so' },
  );

it.each([
  ['shared', 'stay', 'whose calls and disposal never end'],
  ['thread', 'stay', 'whose calls and disposal never end'],
  ['thread', 'block', 'whose event loop is blocked'],
] as const)(
  'a %s actor (%s) %s ends alone: its process and who else lives there go on',
  async (isolation, method, _how) => {
    const Class = LingererActor.options({ isolation, gracefulShutdownMs: 100 });
    const [lingerer, neighbour] = [Class.create(), Class.create()];
    expect(await neighbour.count()).toBe(1);
    const pid = await neighbour.pid();
    expect(await lingerer.pid()).toBe(pid);
    const call = lingerer[method]();
    await stop(lingerer);
    await expect(call).rejects.toMatchObject({ name: 'ActorDiedError' });
    await stopped(lingerer);
    expect([await neighbour.count(), await neighbour.pid()]).toEqual([2, pid]);
  },
);
