import { InvalidArgumentError, MantaError } from '../errors/errors.ts';
import type { ObjectId } from '../ids.ts';
import { DurableRef, ownerDiedError } from '../objects/durable-ref.ts';
import { isObjectRef, ObjectRef, REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { isPrimitive, type Payload } from '../objects/payload.ts';
import { StoredValue } from '../objects/stored-value.ts';
import type { RefOwnerRuntime } from '../objects/object-ref.ts';
import type { Lineage } from '../lineage/lineage.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { ValueCodec } from '../serialization/value-codec.ts';
import { joinParts } from '../serialization/value-parts.ts';
import type { NodeStore } from './node-store.ts';
import type { ObjectExchange } from './object-exchange.ts';
import type { ObjectValues, WaitingValue } from './object-values.ts';

interface OwnedCore extends RefOwnerRuntime {
  readonly objects: ObjectExchange;
  readonly values: ObjectValues;
  readonly lineage: Lineage;
  readonly store: NodeStore;
  readonly codec: ValueCodec;
  unpin(pins: readonly Transferable[]): void;
}

/** A large argument of one call: nobody else has this ref, so its value goes with the call. */
export class ArgumentRef extends ObjectRef<unknown> {
  /** The call may have to run again, to make its result anew: the value stays as long as that may be. */
  isKept = false;
}

/** What happens to objects beside being made and sent: they are kept, dropped, freed, lost. */
export class OwnedObjects {
  readonly #core: OwnedCore;
  readonly #waiting = new WeakMap<AnyObjectRef, WaitingValue>();

  constructor(core: OwnedCore) {
    this.#core = core;
  }

  /**
   * Serialises a value that this process owns from now on.
   * @throws SerializationError naming the path of what cannot be kept. ObjectStoreFullError: too much waits for room.
   */
  put<T>(value: T, path: string): ObjectRef<T> {
    const ref = new ObjectRef<T>(this.#core);
    if (!isPrimitive(value)) return this.keep(ref, this.#core.values.keep(value, path));
    ref.resolve(value);
    return ref;
  }

  /** The ref stands for a value that was kept, or that waits for room. */
  keep<T>(ref: ObjectRef<T>, kept: Payload | StoredValue | WaitingValue): ObjectRef<T> {
    if (!('giveUp' in kept)) {
      ref.resolve(kept);
      return ref;
    }
    this.#waiting.set(ref as AnyObjectRef, kept);
    kept.stored.then(
      (stored) => {
        this.#waiting.delete(ref as AnyObjectRef);
        if (stored === undefined) return;
        if (ref.state === REF_STATE.pending) ref.resolve(stored);
        else this.#core.values.drop(stored);
      },
      (error: unknown) => ref.reject(error),
    );
    return ref;
  }

  /** A ref whose owner is the agent of this node, which keeps the value on its disk. @throws SerializationError */
  putDurable<T>(value: T): ObjectRef<T> {
    const { store, codec } = this.#core;
    const { agent } = store;
    if (agent === undefined) {
      throw new InvalidArgumentError(
        'A durable object is kept by a node, and there is none on the machine of this process.',
      );
    }
    const { parts, sizeBytes, transferables } = codec.encodeParts(value, 'value');
    this.#core.unpin(transferables);
    if (transferables.some(isObjectRef)) {
      throw new InvalidArgumentError(
        'A durable object cannot hold refs: their objects end with their owners.',
      );
    }
    const ref = new DurableRef<T>(this.#core);
    const id = this.#core.mintObjectId();
    ref.objectId = id;
    ref.owner = this.#core.objects.borrowed.add(ref as AnyObjectRef, id, agent);
    store.keepDurable(id, joinParts(parts, sizeBytes)).catch((error: unknown) => ref.reject(error));
    return ref;
  }

  /** Settles when reading the ref is worth another try. */
  async bringLocal(ref: AnyObjectRef): Promise<void> {
    const { content } = ref;
    if (!(content instanceof StoredValue)) return;
    try {
      await this.#core.values.bringLocal(content);
    } catch (error) {
      if (ref.content !== content) return;
      if (MantaError.is(error, 'OwnerDiedError') || MantaError.is(error, 'ObjectFreedError'))
        ref.lose(ownerDiedError(ref, error as MantaError));
      else if (!MantaError.is(error, 'ObjectLostError')) throw error;
      else if (ref.owner === undefined) this.#core.objects.lose(ref, (error as MantaError).message);
      else this.#core.objects.refetch(ref);
    }
  }

  /** The last holder of this ref is done with it. */
  drop(ref: AnyObjectRef): void {
    const { content } = ref;
    ref.discard();
    this.#waiting.get(ref)?.giveUp();
    this.#waiting.delete(ref);
    if (content instanceof StoredValue) this.#core.values.drop(content);
  }

  dispose(ref: AnyObjectRef): void {
    if (ref.owner !== undefined) {
      if (this.#core.objects.borrowed.dispose(ref)) ref.discard();
    } else if (this.#core.objects.table.isExported(ref)) {
      this.#core.objects.bequeath(ref);
    } else {
      this.drop(ref);
    }
  }

  free(ref: AnyObjectRef): void {
    if (ref.owner !== undefined) {
      this.#core.objects.borrowed.freed(ref.id as ObjectId, ref.owner);
      ref.discard();
      return;
    }
    this.#core.lineage.freed(ref);
    this.#core.objects.table.free(ref);
    this.drop(ref);
  }
}
