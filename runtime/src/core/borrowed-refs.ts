import type { ObjectId, ProcessId } from '../ids.ts';
import type { AnyObjectRef } from '../objects/object-ref.ts';
import { addressRecord, type AddressRecord } from '../rpc/address-record.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { OwnerWords, type Release } from './owner-words.ts';

interface Borrowed {
  readonly ref: WeakRef<AnyObjectRef>;
  /** How often this process was given it: by its owner, and by others. */
  fromOwner: number;
  fromOthers: Map<ProcessId, number> | undefined;
  /** Values here, and on their way from here, that contain it. */
  pins: number;
  /** Its user is done with it: it is given back when nothing here contains it any more. */
  isDisposed: boolean;
}

interface Lender {
  readonly address: ProcessAddress;
  readonly ids: Set<ObjectId>;
  /** Collected, and perhaps to be given back. */
  releases: Set<ObjectId>;
  readonly words: OwnerWords;
}

/** The ways of a borrower to others. */
interface BorrowerWays {
  readonly connect: (owner: ProcessAddress) => Promise<PeerConnection>;
  readonly onOwnerGone: (owner: ProcessId) => void;
  readonly addressOf: (processId: ProcessId) => ProcessAddress | undefined;
}

/** Refs that were collected are given back in batches. */
const RELEASE_DELAY_MS = 100;

/**
 * The refs of others that this process holds: one per object, so that its value is fetched once. What owners must know
 * (whom a ref was passed on to, what was let go) is told in batches and in this order.
 */
export class BorrowedRefs {
  readonly #clock: Clock;
  readonly #ways: BorrowerWays;
  readonly #refs = new Map<ObjectId, Borrowed>();
  readonly #lenders = new Map<ProcessId, Lender>();
  #wordsNumber = 0;
  readonly #collected = new FinalizationRegistry<{ id: ObjectId; owner: ProcessAddress }>(
    ({ id, owner }) => {
      if (this.find(id) === undefined) this.#scheduleRelease(id, owner);
    },
  );

  constructor(clock: Clock, ways: BorrowerWays) {
    this.#clock = clock;
    this.#ways = ways;
  }

  get size(): number {
    return this.#refs.size;
  }

  find(id: ObjectId): AnyObjectRef | undefined {
    return this.#refs.get(id)?.ref.deref();
  }

  /** Also while it is on its way back to its owner. */
  holds(id: ObjectId): boolean {
    return this.#refs.has(id);
  }

  /** @param giver undefined: it was found in a value that has been here before. */
  received(id: ObjectId, owner: ProcessId, giver: ProcessId | undefined): void {
    const known = this.#refs.get(id);
    if (known === undefined) return;
    known.isDisposed = false;
    if (giver === undefined) return;
    if (giver === owner) {
      known.fromOwner += 1;
      return;
    }
    known.fromOthers ??= new Map();
    known.fromOthers.set(giver, (known.fromOthers.get(giver) ?? 0) + 1);
  }

  /**
   * A ref that is new here, or that was collected and has not been given back yet: what was received then still
   * counts. The result is the owner's address, one object for all its refs.
   */
  add(ref: AnyObjectRef, id: ObjectId, owner: ProcessAddress): ProcessAddress {
    const lender = this.#lenderOf(owner);
    const { address } = lender;
    lender.ids.add(id);
    const { fromOwner = 0, fromOthers, pins = 0 } = this.#refs.get(id) ?? {};
    const known = { ref: new WeakRef(ref), fromOwner, fromOthers, pins, isDisposed: false };
    this.#refs.set(id, known);
    this.#collected.register(ref, { id, owner: address }, ref);
    return address;
  }

  #lenderOf(owner: ProcessAddress): Lender {
    let lender = this.#lenders.get(owner.processId);
    if (lender === undefined) {
      lender = {
        address: owner,
        ids: new Set(),
        releases: new Set(),
        words: this.#wordsTo(owner),
      };
      this.#lenders.set(owner.processId, lender);
    }
    return lender;
  }

  #wordsTo(owner: ProcessAddress): OwnerWords {
    const { connect, onOwnerGone } = this.#ways;
    return new OwnerWords({
      clock: this.#clock,
      connect: () => connect(owner),
      addressOf: (borrower) => this.#addressOf(borrower),
      nextNumber: () => ++this.#wordsNumber,
      onHeard: () => this.#dropUnused(owner.processId),
      onOwnerGone: () => onOwnerGone(owner.processId),
    });
  }

  /** The address of a process that owns refs that are here. */
  ownerOf(processId: ProcessId): ProcessAddress | undefined {
    return this.#lenders.get(processId)?.address;
  }

  announce(id: ObjectId, owner: ProcessAddress): void {
    this.#lenderOf(owner).words.holds(id);
  }

  /** The ref is about to be sent to `borrower`. */
  lentOn(id: ObjectId, owner: ProcessAddress, borrower: ProcessId): void {
    this.#lenderOf(owner).words.passedOn(id, borrower);
  }

  /** The user has freed it, for all who hold refs. */
  freed(id: ObjectId, owner: ProcessAddress): void {
    this.#lenderOf(owner).words.freed(id);
  }

  #addressOf(processId: ProcessId): AddressRecord | null {
    const address = this.#ways.addressOf(processId);
    return address === undefined ? null : addressRecord(address);
  }

  /** A value with the ref inside was made: until `unpin` it is needed, whatever its user says. */
  pin(ref: AnyObjectRef): void {
    const known = this.#refs.get(ref.objectId as ObjectId);
    if (known !== undefined) known.pins += 1;
  }

  unpin(ref: AnyObjectRef): void {
    const known = this.#refs.get(ref.objectId as ObjectId);
    if (known === undefined || known.pins === 0) return;
    known.pins -= 1;
    if (known.pins > 0 || !known.isDisposed) return;
    const kept = known.ref.deref();
    if (kept !== undefined && this.dispose(kept)) kept.discard();
  }

  /**
   * The user is done with the ref before the garbage collector finds out. False: values here contain it, so it is
   * given back when they are collected.
   */
  dispose(ref: AnyObjectRef): boolean {
    const id = ref.objectId;
    if (id === undefined || ref.owner === undefined) return true;
    const known = this.#refs.get(id);
    if (known !== undefined && known.pins > 0) {
      known.isDisposed = true;
      return false;
    }
    if (this.#collected.unregister(ref) && known?.ref.deref() === ref)
      this.#giveBack(id, known, ref.owner);
    return true;
  }

  #giveBack(id: ObjectId, known: Borrowed, owner: ProcessAddress): void {
    this.#refs.delete(id);
    const lender = this.#lenderOf(owner);
    lender.ids.delete(id);
    lender.words.released(releaseOf(id, known));
  }

  #scheduleRelease(id: ObjectId, owner: ProcessAddress): void {
    const lender = this.#lenders.get(owner.processId);
    if (lender === undefined) return;
    lender.releases.add(id);
    if (lender.releases.size === 1)
      this.#clock.after(RELEASE_DELAY_MS, () => this.#release(lender), { unref: true });
  }

  #release(lender: Lender): void {
    for (const id of lender.releases) {
      const known = this.#refs.get(id);
      if (known === undefined || known.ref.deref() !== undefined) continue;
      this.#refs.delete(id);
      lender.ids.delete(id);
      lender.words.released(releaseOf(id, known));
    }
    lender.releases.clear();
  }

  #dropUnused(owner: ProcessId): void {
    const lender = this.#lenders.get(owner);
    if (lender?.ids.size === 0 && lender.words.isIdle) this.#lenders.delete(owner);
  }

  /** Forgets the owner; the refs of it that are still held. */
  ownerDied(processId: ProcessId): AnyObjectRef[] {
    const lender = this.#lenders.get(processId);
    this.#lenders.delete(processId);
    const held: AnyObjectRef[] = [];
    for (const id of lender?.ids ?? []) {
      const ref = this.find(id);
      this.#refs.delete(id);
      if (ref !== undefined) held.push(ref);
    }
    return held;
  }

  entries(): { id: ObjectId; owner: ProcessId; ref: AnyObjectRef; pins: number }[] {
    return [...this.#lenders.values()].flatMap(({ address, ids }) =>
      [...ids].flatMap((id) => {
        const ref = this.find(id);
        const pins = this.#refs.get(id)?.pins ?? 0;
        return ref === undefined ? [] : [{ id, owner: address.processId, ref, pins }];
      }),
    );
  }
}

function releaseOf(id: ObjectId, { fromOwner, fromOthers }: Borrowed): Release {
  return fromOthers === undefined ? [id, fromOwner] : [id, fromOwner, [...fromOthers]];
}
