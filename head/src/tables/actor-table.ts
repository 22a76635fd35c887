import type { ActorId, ProcessId } from '@manta/runtime/ids';
import type { CompiledDemand } from '../scheduling/demand.ts';
import type { PerNode } from '../scheduling/scheduler.ts';
import { isTaskWorker, type ActorRecord } from './actor-record.ts';

/** An actor with what the head derives and need not write down. */
export interface ActorEntry {
  readonly record: ActorRecord;
  readonly demand: CompiledDemand;
  /** Processes that hold handles. They say so again after a restart of the head. */
  readonly holders: Set<ProcessId>;
}

/** Actors of one shape that wait for a place, oldest first, and what the scheduler last said of the shape. */
export interface ShapeQueue {
  readonly demand: CompiledDemand;
  /** When each came, as a number that grows. */
  readonly actorIds: Map<ActorId, number>;
  /** Somebody looks from time to time whether leases must be given back for it. */
  isRecalling?: boolean;
  /** It is looked at again when the node that it wants, and nobody knows, should have come. */
  awaitsNode?: boolean;
  refusal?: { outcome: 'wait' | 'infeasible'; perNode: PerNode };
}

/** When the one that waits for longest came. */
export function firstArrival(queue: ShapeQueue): number {
  const [first] = queue.actorIds.values();
  return first ?? 0;
}

/** Ids that stand for other actors; handles under them are passed on within milliseconds, if at all. */
const ALIASES_MAX = 10_000;

export class ActorTable {
  readonly #actors = new Map<ActorId, ActorEntry>();
  readonly #aliases = new Map<ActorId, ActorId>();
  readonly #named = new Map<string, ActorId>();
  /** In order of death, so that the longest dead are forgotten first. */
  readonly #dead = new Set<ActorId>();
  readonly queues = new Map<string, ShapeQueue>();
  /** Task workers come and go by the thousand: they are apart, so that lists of actors need not know them. */
  readonly #leases = new Set<ActorEntry>();
  #sortedIds: ActorId[] | undefined;
  #arrivals = 0;

  /** Also by an id that stands for it. */
  get(actorId: ActorId): ActorEntry | undefined {
    return this.#actors.get(actorId) ?? this.#actors.get(this.#aliases.get(actorId) as ActorId);
  }

  /** Of an actor that was to be made, and was there already: its maker may have passed on a handle under the new id. */
  alias(actorId: ActorId, existing: ActorId): void {
    this.#aliases.set(actorId, existing);
    if (this.#aliases.size <= ALIASES_MAX) return;
    const [oldest] = this.#aliases.keys();
    this.#aliases.delete(oldest as ActorId);
  }
  all(): IterableIterator<ActorEntry> {
    return this.#actors.values();
  }
  get size(): number {
    return this.#actors.size;
  }

  /** All but task workers. */
  *actors(): IterableIterator<ActorEntry> {
    for (const entry of this.#actors.values()) if (!this.#leases.has(entry)) yield entry;
  }
  leases(): ReadonlySet<ActorEntry> {
    return this.#leases;
  }

  /** All ids but those of task workers, in order; sorted anew only when actors came or went. */
  sortedIds(): readonly ActorId[] {
    this.#sortedIds ??= [...this.#actors.values()]
      .filter((entry) => !this.#leases.has(entry))
      .map(({ record }) => record.spec.actorId)
      .sort();
    return this.#sortedIds;
  }

  /** The living actor of that name. */
  named(namespace: string, name: string): ActorEntry | undefined {
    const actorId = this.#named.get(nameKey(namespace, name));
    return actorId === undefined ? undefined : this.#actors.get(actorId);
  }

  add(entry: ActorEntry): void {
    const { actorId, namespace, name } = entry.record.spec;
    this.#actors.set(actorId, entry);
    if (isTaskWorker(entry.record)) this.#leases.add(entry);
    else this.#sortedIds = undefined;
    if (entry.record.state === 'dead') this.#dead.add(actorId);
    else if (name !== undefined) this.#named.set(nameKey(namespace, name), actorId);
  }

  /** Frees the name. Returns those dead for longest, beyond the limit. */
  bury(entry: ActorEntry, deadActorsMax: number): ActorId[] {
    const { actorId, namespace, name } = entry.record.spec;
    if (name !== undefined && this.#named.get(nameKey(namespace, name)) === actorId) {
      this.#named.delete(nameKey(namespace, name));
    }
    this.#dead.add(actorId);
    const excess: ActorId[] = [];
    for (const oldest of this.#dead) {
      if (this.#dead.size - excess.length <= deadActorsMax) break;
      excess.push(oldest);
    }
    return excess;
  }

  /** It lives again. False: without its name from now on, which was taken meanwhile. */
  unbury({ record }: ActorEntry): boolean {
    const { name, ...unnamed } = record.spec;
    const { actorId, namespace } = unnamed;
    this.#dead.delete(actorId);
    if (name === undefined) return true;
    if (this.named(namespace, name) !== undefined) {
      record.spec = unnamed;
      return false;
    }
    this.#named.set(nameKey(namespace, name), actorId);
    return true;
  }

  /** A dead actor whose resources are back may be forgotten. */
  forget(actorId: ActorId): boolean {
    const entry = this.#actors.get(actorId);
    if (entry?.record.state !== 'dead' || entry.record.placement !== undefined) return false;
    this.#actors.delete(actorId);
    this.#dead.delete(actorId);
    if (!this.#leases.delete(entry)) this.#sortedIds = undefined;
    return true;
  }

  enqueue(entry: ActorEntry): void {
    const { shape } = entry.demand;
    let queue = this.queues.get(shape);
    if (queue === undefined) {
      queue = { demand: entry.demand, actorIds: new Map() };
      this.queues.set(shape, queue);
    }
    queue.actorIds.set(entry.record.spec.actorId, this.#arrivals++);
  }

  dequeue(entry: ActorEntry): void {
    const queue = this.queues.get(entry.demand.shape);
    if (queue === undefined) return;
    queue.actorIds.delete(entry.record.spec.actorId);
    if (queue.actorIds.size === 0) this.queues.delete(entry.demand.shape);
  }
}

function nameKey(namespace: string, name: string): string {
  return `${namespace.length}:${namespace}/${name}`;
}
