import { ObjectFreedError, ObjectLostError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import type { AnyObjectRef } from './object-ref.ts';

/** An object of ours that others may ask for. */
interface Export {
  ref: AnyObjectRef;
  /** Values under way, or kept here, that contain the ref. */
  pins: number;
  /** How often each process was given the ref and has not given it back. */
  borrowers: Map<ProcessId, number>;
}

/** A freed or dropped id is remembered a while, so that a late question gets the right answer. */
const FREED_IDS_KEPT = 10_000;

/**
 * The objects of this process that have left it inside values. An entry holds its object while a value that contains
 * it is under way (a pin) or another process has said that it borrows it. Objects that never left are not here: the
 * garbage collector alone takes care of them.
 */
export class ObjectTable {
  readonly #exports = new Map<ObjectId, Export>();
  readonly #freed = new Set<ObjectId>();

  pin(ref: AnyObjectRef): void {
    const id = ref.id as ObjectId;
    const entry = this.#exports.get(id);
    if (entry !== undefined) entry.pins += 1;
    else this.#exports.set(id, { ref, pins: 1, borrowers: new Map() });
  }

  unpin(ref: AnyObjectRef): void {
    const id = ref.id as ObjectId;
    const entry = this.#exports.get(id);
    if (entry === undefined) return;
    entry.pins -= 1;
    this.#dropUnused(id, entry);
  }

  /** The ref goes to that process: it counts as a borrower from now on, before the message has arrived. */
  lend(ref: AnyObjectRef, borrower: ProcessId): void {
    const id = ref.id as ObjectId;
    if (!this.#exports.has(id)) this.#exports.set(id, { ref, pins: 0, borrowers: new Map() });
    this.borrow(id, borrower);
  }

  /** A process that got the ref from another borrower says so. */
  borrow(id: ObjectId, borrower: ProcessId): void {
    const borrowers = this.#exports.get(id)?.borrowers;
    borrowers?.set(borrower, (borrowers.get(borrower) ?? 0) + 1);
  }

  /** `times`: how often it had received the ref when it let go; what was sent since then still counts. */
  release(id: ObjectId, borrower: ProcessId, times: number): void {
    const entry = this.#exports.get(id);
    if (entry === undefined) return;
    const left = (entry.borrowers.get(borrower) ?? 0) - times;
    if (left > 0) entry.borrowers.set(borrower, left);
    else entry.borrowers.delete(borrower);
    this.#dropUnused(id, entry);
  }

  releaseAllOf(borrower: ProcessId): void {
    for (const [id, entry] of this.#exports) {
      if (entry.borrowers.delete(borrower)) this.#dropUnused(id, entry);
    }
  }

  #dropUnused(id: ObjectId, entry: Export): void {
    if (entry.pins <= 0 && entry.borrowers.size === 0) this.#exports.delete(id);
  }

  free(ref: AnyObjectRef): void {
    const id = ref.objectId;
    if (id === undefined) return;
    this.#exports.delete(id);
    this.#freed.add(id);
    if (this.#freed.size > FREED_IDS_KEPT) {
      const [oldest] = this.#freed;
      if (oldest !== undefined) this.#freed.delete(oldest);
    }
  }

  /** @throws ObjectFreedError, ObjectLostError */
  find(id: ObjectId): AnyObjectRef {
    const entry = this.#exports.get(id);
    if (entry !== undefined) return entry.ref;
    if (this.#freed.has(id)) throw new ObjectFreedError(`Object ${id} was freed by its owner.`);
    throw new ObjectLostError(
      `Object ${id} is not known to its owner any more: every reference was dropped.`,
    );
  }

  get size(): number {
    return this.#exports.size;
  }

  entries(): { id: ObjectId; pins: number; borrowers: number; ref: AnyObjectRef }[] {
    return [...this.#exports].map(([id, entry]) => ({
      id,
      pins: entry.pins,
      borrowers: entry.borrowers.size,
      ref: entry.ref,
    }));
  }
}
