import type { ProcessId } from '../ids.ts';

/** In two answers apart, a process does not know of what was on its way to it before the first. */
const DOUBTS_MAX = 2;

/** How often a process was given a ref, by the owner and by others. */
export interface Receipts {
  readonly fromOwner: number;
  readonly fromOthers?: ReadonlyMap<ProcessId, number> | undefined;
}

/**
 * What an owner knows of one process that may hold one of its refs.
 *
 * It is counted by giver how often the process was given the ref: what a giver has said less what the process says it
 * had got from that giver when it let go. A giver may die before its word arrives; its count then stays below 0 and
 * takes nothing from the others'.
 */
export class Borrower {
  #fromOwner = 0;
  #fromOthers: Map<ProcessId, number> | undefined;
  /** It has said itself that it holds the ref. */
  #holds = false;
  /** It has been asked whether it holds the ref; nothing that makes the answer worthless has happened since. */
  #isAsked = false;
  /** How often in a row it has said that it does not: what was sent to it may be lost, or under way. */
  #doubts = 0;

  /** Undefined: by the owner. */
  given(giver?: ProcessId): void {
    this.#isAsked = false;
    this.#doubts = 0;
    if (giver === undefined) this.#fromOwner += 1;
    else this.#count(giver, 1);
  }

  announced(): void {
    this.#holds = true;
  }

  released({ fromOwner, fromOthers }: Receipts): void {
    this.#isAsked = false;
    this.#holds = false;
    // What the owner gives it counts before it is sent: who says it got more is not believed.
    this.#fromOwner = Math.max(0, this.#fromOwner - fromOwner);
    for (const [giver, times] of fromOthers ?? []) this.#count(giver, -times);
  }

  #count(giver: ProcessId, change: number): void {
    this.#fromOthers ??= new Map();
    const times = (this.#fromOthers.get(giver) ?? 0) + change;
    if (times === 0) this.#fromOthers.delete(giver);
    else this.#fromOthers.set(giver, times);
  }

  /** Nothing of what it gave is under way any more. */
  giverDied(giver: ProcessId): void {
    this.#fromOthers?.delete(giver);
  }

  get #isGiven(): boolean {
    if (this.#fromOwner > 0) return true;
    for (const times of this.#fromOthers?.values() ?? []) if (times > 0) return true;
    return false;
  }

  /** It holds the ref, or may get it yet. */
  get counts(): boolean {
    return this.#holds || (this.#doubts < DOUBTS_MAX && this.#isGiven);
  }

  /** There is nothing to remember of it. */
  get isSettled(): boolean {
    return !this.#holds && this.#fromOwner === 0 && (this.#fromOthers?.size ?? 0) === 0;
  }

  /** It has been given the ref, and has not said itself that it holds it. */
  get isSilent(): boolean {
    return !this.#holds && this.#isGiven;
  }

  asked(): void {
    this.#isAsked = true;
  }

  answered(holds: boolean): void {
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.#holds ||= holds;
    this.#doubts = holds ? 0 : this.#doubts + 1;
  }

  /** It cannot be asked. Had others given it the ref, it would have said so, unless the owner had given it before. */
  doubt(): void {
    if (this.#fromOwner === 0) this.#doubts = DOUBTS_MAX;
  }
}
