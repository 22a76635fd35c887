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

  keep({ actorId, maxRestarts }: ActorSpec, pins: readonly Transferable[]): void {
    this.#kept.set(actorId, { pins, mayRestart: maxRestarts !== 0 });
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
