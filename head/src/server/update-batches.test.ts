import { LIMITS } from '@manta/runtime/wire/limits';
import { encodeControl } from '@manta/runtime/serialization/control-codec';
import type { ActorId } from '@manta/runtime/ids';
import type { ActorUpdate } from '@manta/runtime/wire/messages';
import { expect, it } from 'vitest';
import { updateBatches } from './update-batches.ts';

const update = (revision: number, changes: Partial<ActorUpdate> = {}): ActorUpdate => ({
  actorId: 'a_0000000000000000' as ActorId,
  revision,
  state: 'dead',
  incarnation: 0,
  ...changes,
});

it('puts many small updates into one message', () => {
  const updates = Array.from({ length: 1_000 }, (_, revision) => update(revision));
  expect([...updateBatches(updates)]).toEqual([updates]);
});

it.each<[string, Partial<ActorUpdate>]>([
  ['errors', { encodedError: new Uint8Array(LIMITS.encodedErrorBytes) }],
  ['causes', { deathCause: { kind: 'killed', message: '€'.repeat(LIMITS.causeLength) } }],
  [
    'reasons',
    { perNode: Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`n${n}`, 'x'])) },
  ],
])('keeps messages with large %s below their limit, in order', (_what, changes) => {
  const updates = Array.from({ length: 100 }, (_, revision) => update(revision, changes));
  const batches = [...updateBatches(updates)];
  const [largest = []] = batches.toSorted((a, b) => b.length - a.length);
  expect(encodeControl({ updates: largest }).length).toBeLessThan(LIMITS.controlMessageBytes / 4);
  expect(batches.flat().map(({ revision }) => revision)).toEqual([...updates.keys()]);
});
