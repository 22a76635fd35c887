import { ObjectFreedError, ObjectLostError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import { Borrower, type Receipts } from './borrower.ts';
import type { AnyObjectRef } from './object-ref.ts';

/** An object of ours that others may ask for. */
interface Export {
  ref: AnyObjectRef;
  /** Nobody but this table has the ref: its user is done with the object. */
  isHeir: boolean;
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
  readonly #self: ProcessId;
  readonly #letGo: (ref: AnyObjectRef) => void;
  readonly #exports = new Map<ObjectId, Export>();
  readonly #freed = new Set<ObjectId>();

  /**
   * @param self the process that owns the objects.
   * @param letGo lets go of an object at once that only others had: no garbage collector needs to find that out.
   */
  constructor(self: ProcessId, letGo: (ref: AnyObjectRef) => void) {
    this.#self = self;
    this.#letGo = letGo;
  }

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
    borrowerOf(this.#entryOf(ref), borrower).given();
  }

  #entryOf(ref: AnyObjectRef): Export {
    const id = ref.id as ObjectId;
    let entry = this.#exports.get(id);
    if (entry === undefined) {
      entry = { ref, isHeir: false, pins: 0, borrowers: new Map() };
      this.#exports.set(id, entry);
    }
    return entry;
  }

  /** Another process has given the ref to that process, which may be this one. */
  lentOn(id: ObjectId, borrower: ProcessId, giver: ProcessId): void {
    const entry = this.#exports.get(id);
    if (entry === undefined) return;
    borrowerOf(entry, borrower).given(giver);
    this.#dropUnused(id, entry, borrower);
  }

  /** A process that got the ref from another borrower says so. */
  borrow(id: ObjectId, borrower: ProcessId): void {
    const entry = this.#exports.get(id);
    if (entry !== undefined) borrowerOf(entry, borrower).announced();
  }

  /**
   * `receipts`: what it had received of the ref when it let go; what was sent since then still counts. True: there is
   * something of that, which may be lost.
   */
  release(id: ObjectId, borrower: ProcessId, receipts: Receipts): boolean {
    const entry = this.#exports.get(id);
    if (entry === undefined) return false;
    const state = borrowerOf(entry, borrower);
    state.released(receipts);
    this.#dropUnused(id, entry, borrower);
    return state.isSilent;
  }

  /**
   * A value has arrived here with the ref inside, or is read once more (giver undefined).
   * @throws ObjectFreedError, ObjectLostError
   */
  cameHome(id: ObjectId, giver: ProcessId | undefined): AnyObjectRef {
    const ref = this.find(id);
    const entry = this.#exports.get(id);
    if (entry !== undefined) entry.isHeir = false;
    if (giver !== undefined)
      this.release(id, this.#self, { fromOwner: 0, fromOthers: new Map([[giver, 1]]) });
    return ref;
  }

  /** The process is dead, and nothing that it had sent is under way any more. */
  releaseAllOf(borrower: ProcessId): void {
    for (const [id, entry] of this.#exports) {
      const own = entry.borrowers.get(this.#self);
      own?.giverDied(borrower);
      const wasBorrower = entry.borrowers.delete(borrower);
      if (wasBorrower || own !== undefined) this.#dropUnused(id, entry, this.#self);
    }
  }

  hasBorrower(processId: ProcessId): boolean {
    for (const { borrowers } of this.#exports.values()) if (borrowers.has(processId)) return true;
    return false;
  }

  // ── borrowers that have not said a word ──────────────────────────────────────────────────────────────────
  awaitsWordOf(processId: ProcessId): boolean {
    for (const { borrowers } of this.#exports.values())
      if (borrowers.get(processId)?.isSilent === true) return true;
    return false;
  }

  /** What that process is to be asked about: `answered` takes the answers. At most `max` ids. */
  questionsFor(processId: ProcessId, max: number): ObjectId[] {
    const ids: ObjectId[] = [];
    for (const [id, { borrowers }] of this.#exports) {
      const borrower = borrowers.get(processId);
      if (borrower?.isSilent !== true) continue;
      borrower.asked();
      if (ids.push(id) === max) break;
    }
    return ids;
  }

  /** The answer to whether it holds the ref. Where nobody else can have it any more, a repeated no ends the object. */
  answered(id: ObjectId, processId: ProcessId, holds: boolean): void {
    const entry = this.#exports.get(id);
    entry?.borrowers.get(processId)?.answered(holds);
    if (entry !== undefined) this.#dropUnused(id, entry, processId);
  }

  /** That process is nowhere to be found. */
  doubt(processId: ProcessId): void {
    for (const [id, entry] of this.#exports) {
      const borrower = entry.borrowers.get(processId);
      if (borrower?.isSilent !== true) continue;
      borrower.doubt();
      this.#dropUnused(id, entry, processId);
    }
  }

  #dropUnused(id: ObjectId, entry: Export, changed?: ProcessId): void {
    if (changed !== undefined && entry.borrowers.get(changed)?.isSettled === true)
      entry.borrowers.delete(changed);
    if (entry.pins > 0) return;
    for (const borrower of entry.borrowers.values()) if (borrower.counts) return;
    this.#exports.delete(id);
    if (entry.isHeir) this.#letGo(entry.ref);
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
  replace(ref: AnyObjectRef, heir: AnyObjectRef): void {
    const entry = this.#exports.get(ref.id as ObjectId);
    if (entry === undefined) return;
    entry.ref = heir;
    entry.isHeir = true;
  }

  known(id: ObjectId): AnyObjectRef | undefined {
    return this.#exports.get(id)?.ref;
  }

  /** @throws ObjectFreedError, ObjectLostError */
  find(id: ObjectId): AnyObjectRef {
    const ref = this.known(id);
    if (ref !== undefined) return ref;
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
      borrowers: [...borrowers].flatMap(([processId, { counts }]) =>
        counts && processId !== this.#self ? [processId] : [],
      ),
      ref,
    }));
  }
}

function borrowerOf(entry: Export, processId: ProcessId): Borrower {
  let borrower = entry.borrowers.get(processId);
  if (borrower === undefined) {
    borrower = new Borrower();
    entry.borrowers.set(processId, borrower);
  }
  return borrower;
}
