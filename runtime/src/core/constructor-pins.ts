import type { ActorId, ProcessId } from '../ids.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { ActorSpec, ActorUpdate, ProcessAddress } from '../wire/messages.ts';

interface PinsCore {
  readonly objects: { knowPeer(address: ProcessAddress): void };
  lend(pins: readonly Transferable[], borrower: ProcessId): void;
  unpin(pins: readonly Transferable[]): void;
}

interface Kept {
  readonly pins: readonly Transferable[];
  readonly mayRestart: boolean;
}

/** Refs and handles among the arguments of constructors, held by the creator as long as a constructor may run. */
export class ConstructorPins {
  readonly #core: PinsCore;
  readonly #kept = new Map<ActorId, Kept>();

  constructor(core: PinsCore) {
    this.#core = core;
  }

  /** The specification as it goes to the head, which tells the end of an actor to who keeps something for it. */
  keep(spec: ActorSpec, pins: readonly Transferable[]): ActorSpec {
    if (pins.length === 0) return spec;
    this.#kept.set(spec.actorId, { pins, mayRestart: spec.maxRestarts !== 0 });
    return { ...spec, needsOwner: true };
  }

  apply({ actorId, state, address }: ActorUpdate): void {
    const kept = this.#kept.get(actorId);
    if (kept === undefined) return;
    if (state === 'alive' && !kept.mayRestart && address !== undefined) {
      // What the constructor has kept of them counts from now on, whether its process has said so already or not.
      this.#core.objects.knowPeer(address);
      this.#core.lend(kept.pins, address.processId);
      this.release(actorId);
    } else if (state === 'dead') {
      this.release(actorId);
    }
  }

  /** No constructor of this actor will run any more. */
  release(actorId: ActorId): void {
    const kept = this.#kept.get(actorId);
    if (kept === undefined) return;
    this.#kept.delete(actorId);
    this.#core.unpin(kept.pins);
  }

  actorIds(): Iterable<ActorId> {
    return this.#kept.keys();
  }
}
