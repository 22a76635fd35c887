import type { ActorArguments } from '@manta/runtime/wire/actor-messages';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import {
  awaitsArguments,
  createActorRecord,
  diesWithOwner,
  isQueued,
  isTaskWorker,
} from './actor-record.ts';
import type { ActorEntry } from './actor-table.ts';
import type { Cluster } from './cluster.ts';
import { leaseDefect } from './leases.ts';
import { holdActors, ownActor } from './processes.ts';

export type CreateResult =
  | { outcome: 'created' }
  | { outcome: 'existing'; entry: ActorEntry }
  | { outcome: 'refused'; errorName: string; message: string };

/**
 * Creates an actor, once per actor id; its creator holds it. Names are taken and checked in this one step, so of two
 * creators of one name exactly one wins.
 * @throws InvalidArgumentError when the demand or the options make no sense.
 */
export function createActor(cluster: Cluster, spec: ActorSpec, now: number): CreateResult {
  const { actorId, ownerId, namespace, name } = spec;
  const known = cluster.actors.get(actorId);
  if (known !== undefined) {
    holdActors(cluster, ownerId, [actorId], now);
    const isNew = known.record.spec.actorId === actorId;
    return isNew ? { outcome: 'created' } : { outcome: 'existing', entry: known };
  }
  if (cluster.processes.hasEnded(ownerId)) {
    return {
      outcome: 'refused',
      errorName: 'OwnerDiedError',
      message: `process ${ownerId} has ended`,
    };
  }
  const defect = spec.kind === 'task-worker' ? leaseDefect(spec) : undefined;
  if (defect !== undefined)
    return { outcome: 'refused', errorName: 'InvalidArgumentError', message: defect };
  if (spec.getIfExists && name === undefined) {
    return {
      outcome: 'refused',
      errorName: 'InvalidArgumentError',
      message: 'getIfExists needs a name',
    };
  }
  const existing = name === undefined ? undefined : cluster.actors.named(namespace, name);
  if (existing !== undefined) {
    if (!spec.getIfExists) {
      const message = `an actor named "${name}" exists in namespace "${namespace}"`;
      return { outcome: 'refused', errorName: 'NameTakenError', message };
    }
    cluster.actors.alias(actorId, existing.record.spec.actorId);
    holdActors(cluster, ownerId, [actorId], now);
    return { outcome: 'existing', entry: existing };
  }
  const entry = cluster.addActor(createActorRecord(cluster.specs.share(spec), now));
  if (!isTaskWorker(entry.record)) {
    cluster.effects.savedSpecs.add(actorId);
    cluster.effects.savedActors.add(actorId);
  }
  ownActor(cluster, entry, now);
  holdActors(cluster, ownerId, [actorId], now);
  if (isQueued(entry.record)) cluster.enqueue(entry, now);
  return { outcome: 'created' };
}

/** The arguments of an actor that was registered without them; of any other they are no news. */
export function takeArguments(
  cluster: Cluster,
  entry: ActorEntry,
  { spec, failure }: ActorArguments,
  now: number,
): void {
  const { record } = entry;
  if (!awaitsArguments(record)) return;
  if (failure !== undefined)
    cluster.stepActor(entry, { type: 'arguments-failed', ...failure }, now);
  if (spec === undefined) return;
  const { awaitsArguments: _came, ...whole } = cluster.specs.share(spec);
  cluster.stepActor(entry, { type: 'arguments-came', spec: whole }, now);
  if (!diesWithOwner(record)) cluster.processes.get(spec.ownerId)?.owned.delete(spec.actorId);
}
