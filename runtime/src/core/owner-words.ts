import type { ObjectId, ProcessId } from '../ids.ts';
import type { AddressRecord } from '../rpc/address-record.ts';
import { tell } from '../rpc/ask.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import type { Clock } from '../time/clock.ts';

/** What a borrower can say of refs. */
export const WORD = { holds: 0, passedOn: 1, released: 2, freed: 3 } as const;

/** It was given back; how often the speaker had been given it: by its owner, and by others. */
export type Release = [
  objectId: ObjectId,
  fromOwner: number,
  fromOthers?: [giver: ProcessId, times: number][],
];

/** A word of a `borrow` record. */
export type Word =
  | [typeof WORD.holds, ObjectId[]]
  | [typeof WORD.passedOn, ObjectId[], borrower: ProcessId, AddressRecord | null]
  | [typeof WORD.released, Release[]]
  | [typeof WORD.freed, ObjectId[]];

export interface OwnerWordsOptions {
  readonly clock: Clock;
  /** Rejects when the owner is gone. */
  readonly connect: () => Promise<PeerConnection>;
  /** How the owner reaches a borrower, where it is known. */
  readonly addressOf: (borrower: ProcessId) => AddressRecord | null;
  /** Greater with each call, for all owners: an owner knows by it what it has heard before. */
  readonly nextNumber: () => number;
  /** Everything has been heard. */
  readonly onHeard: () => void;
  readonly onOwnerGone: () => void;
}

/** Refs that one word speaks of, and about as many as one record does. */
const REFS_MAX = 10_000;

/**
 * What a process tells the owner of refs that it borrows. The owner hears every word once and in order, whatever
 * connections break: it acknowledges a record before the next one goes, and what it has not acknowledged goes again.
 */
export class OwnerWords {
  readonly #options: OwnerWordsOptions;
  readonly #waiting: Word[] = [];
  #isTelling = false;

  constructor(options: OwnerWordsOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return !this.#isTelling;
  }

  holds(id: ObjectId): void {
    const last = this.#waiting.at(-1);
    if (last?.[0] === WORD.holds && last[1].length < REFS_MAX) last[1].push(id);
    else this.#say([WORD.holds, [id]]);
  }

  passedOn(id: ObjectId, borrower: ProcessId): void {
    const last = this.#waiting.at(-1);
    const isSame = last?.[0] === WORD.passedOn && last[2] === borrower;
    if (isSame && last[1].length < REFS_MAX) last[1].push(id);
    else this.#say([WORD.passedOn, [id], borrower, this.#options.addressOf(borrower)]);
  }

  released(release: Release): void {
    const last = this.#waiting.at(-1);
    if (last?.[0] === WORD.released && last[1].length < REFS_MAX) last[1].push(release);
    else this.#say([WORD.released, [release]]);
  }

  /** `free()`: the value is to be dropped now, whoever holds refs. */
  freed(id: ObjectId): void {
    const last = this.#waiting.at(-1);
    if (last?.[0] === WORD.freed && last[1].length < REFS_MAX) last[1].push(id);
    else this.#say([WORD.freed, [id]]);
  }

  #say(word: Word): void {
    this.#waiting.push(word);
    if (this.#isTelling) return;
    this.#isTelling = true;
    // What is said in one turn goes together.
    queueMicrotask(() => void this.#tellAll());
  }

  async #tellAll(): Promise<void> {
    const { clock, connect, nextNumber, onHeard, onOwnerGone } = this.#options;
    while (this.#waiting.length > 0) {
      const words = this.#takeRecord();
      // Also when it is heard twice: the number tells the owner.
      if (!(await tell(clock, connect, RECORD.borrow, nextNumber(), words))) {
        this.#waiting.length = 0;
        this.#isTelling = false;
        onOwnerGone();
        return;
      }
    }
    this.#isTelling = false;
    onHeard();
  }

  #takeRecord(): Word[] {
    let refs = 0;
    const rest = this.#waiting.findIndex(([, about]) => (refs += about.length) > REFS_MAX);
    return this.#waiting.splice(0, rest === -1 ? this.#waiting.length : Math.max(1, rest));
  }
}

/** Words come again only soon after they came first, so those who were silent longest can be forgotten. */
const SPEAKERS_MAX = 10_000;

/** The owner's side: which of the words that come have been heard before. */
export class HeardWords {
  readonly #numbers = new Map<ProcessId, number>();

  /** False: that speaker's record with this number has come before. */
  isNew(speaker: ProcessId, number: number): boolean {
    const last = this.#numbers.get(speaker) ?? 0;
    this.#numbers.delete(speaker);
    this.#numbers.set(speaker, Math.max(last, number));
    if (this.#numbers.size > SPEAKERS_MAX) {
      const [oldest] = this.#numbers.keys();
      if (oldest !== undefined) this.#numbers.delete(oldest);
    }
    return number > last;
  }
}
