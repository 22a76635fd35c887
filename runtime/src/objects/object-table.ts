import { ObjectFreedError, ObjectLostError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import type { AnyObjectRef } from './object-ref.ts';

interface Borrower {
  /**
   * How often it was given the ref, by us or by others who told us, less how often it says it had got it when it let
   * go. Below 0 while the word of a giver is still under way.
   */
  times: number;
  /** It has said itself that it holds the ref. */
  holds: boolean;
}

/** An object of ours that others may ask for. */
interface Export {
  ref: AnyObjectRef;
  /** Values under way, or kept here, that contain the ref. */
  pins: number;
  borrowers: Map<ProcessId, Borrower>;
}

/** A freed or dropped id is remembered a while, so that a late question gets the right answer. */
const FREED_IDS_KEPT = 10_000;

/**
 * The objects of this process that have left it inside values. An entry holds its object while a value that contains
 * it is under way (a pin) or another process borrows it. Objects that never left are not here: the garbage collector
 * alone takes care of them.
 */
export class ObjectTable {
  readonly #exports = new Map<ObjectId, Export>();
  readonly #freed = new Set<ObjectId>();

  pin(ref: AnyObjectRef): void {
    this.#entryOf(ref).pins += 1;
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
    const entry = this.#entryOf(ref);
    borrowerOf(entry, borrower).times += 1;
  }

  #entryOf(ref: AnyObjectRef): Export {
    const id = ref.id as ObjectId;
    let entry = this.#exports.get(id);
    if (entry === undefined) {
      entry = { ref, pins: 0, borrowers: new Map() };
      this.#exports.set(id, entry);
    }
    return entry;
  }

  /** Another borrower has given the ref to that process. */
  lentOn(id: ObjectId, borrower: ProcessId): void {
    const entry = this.#exports.get(id);
    if (entry === undefined) return;
    const state = borrowerOf(entry, borrower);
    state.times += 1;
    if (state.times === 0 && !state.holds) entry.borrowers.delete(borrower);
    this.#dropUnused(id, entry);
  }

  /** A process that got the ref from another borrower says so. */
  borrow(id: ObjectId, borrower: ProcessId): void {
    const entry = this.#exports.get(id);
    if (entry !== undefined) borrowerOf(entry, borrower).holds = true;
  }

  /** `times`: how often it had received the ref when it let go; what was sent since then still counts. */
  release(id: ObjectId, borrower: ProcessId, times: number): void {
    const entry = this.#exports.get(id);
    if (entry === undefined) return;
    const state = borrowerOf(entry, borrower);
    state.times -= times;
    state.holds = false;
    if (state.times === 0) entry.borrowers.delete(borrower);
    this.#dropUnused(id, entry);
  }

  releaseAllOf(borrower: ProcessId): void {
    for (const [id, entry] of this.#exports) {
      if (entry.borrowers.delete(borrower)) this.#dropUnused(id, entry);
    }
  }

  hasBorrower(processId: ProcessId): boolean {
    for (const { borrowers } of this.#exports.values()) if (borrowers.has(processId)) return true;
    return false;
  }

  /** It has been given refs, and has not said itself that it holds any of them. */
  awaitsWordOf(processId: ProcessId): boolean {
    for (const { borrowers } of this.#exports.values()) {
      const borrower = borrowers.get(processId);
      if (borrower !== undefined && borrower.times > 0 && !borrower.holds) return true;
    }
    return false;
  }

  #dropUnused(id: ObjectId, entry: Export): void {
    if (entry.pins > 0) return;
    for (const { times, holds } of entry.borrowers.values()) if (times > 0 || holds) return;
    this.#exports.delete(id);
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

  isExported(ref: AnyObjectRef): boolean {
    return ref.objectId !== undefined && this.#exports.has(ref.objectId);
  }

  /** Others' references to the object go to another ref of it from now on. */
  replace(ref: AnyObjectRef, by: AnyObjectRef): void {
    const entry = this.#exports.get(ref.id as ObjectId);
    if (entry !== undefined) entry.ref = by;
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

  entries(): { id: ObjectId; pins: number; borrowers: ProcessId[]; ref: AnyObjectRef }[] {
    return [...this.#exports].map(([id, { pins, borrowers, ref }]) => ({
      id,
      pins,
      borrowers: [...borrowers.keys()],
      ref,
    }));
  }
}

function borrowerOf(entry: Export, processId: ProcessId): Borrower {
  let borrower = entry.borrowers.get(processId);
  if (borrower === undefined) {
    borrower = { times: 0, holds: false };
    entry.borrowers.set(processId, borrower);
  }
  return borrower;
}
