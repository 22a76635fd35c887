import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@manta/runtime/testing/wait-for';
import {
  actorIdOf,
  get,
  init,
  listActors,
  put,
  shutdown,
  stop,
  type AnyActorHandle,
} from '@manta/sdk';
import { EchoerActor, LingererActor } from './fixtures/lingerers.ts';
import { failureOf } from './testing/journal.ts';

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

/** An object, and one that goes to shared memory: they are encoded, and so kept until the call is over. */
const VALUES = ['text', { an: 'object' }, new Uint8Array(300_000)];

it.each(['process', 'thread', 'shared'] as const)(
  'a %s actor that is stopping finishes its calls; later ones, from anywhere, fail with its end and disturb nobody',
  async (isolation) => {
    const Class = EchoerActor.options({ isolation });
    const [stopping, neighbour] = [Class.create(), Class.create()];
    expect(await neighbour.relay({ to: stopping }, 1)).toBe(1);
    const calls = [stopping.linger(500, 'early'), neighbour.linger(1_000, 'other')];
    await stop(stopping);
    const later = [
      ...VALUES.map((value) => stopping.echo(value)),
      stopping.echo(put(5)),
      ...VALUES.map((value) => neighbour.relay({ to: stopping }, value)),
    ];
    const failures = await Promise.all(later.map(failureOf));
    for (const failure of failures)
      expect([failure, (failure as Error).cause]).toContainEqual(
        expect.objectContaining({ name: 'ActorDiedError' }),
      );
    expect(await get(calls)).toEqual(['early', 'other']);
  },
);
