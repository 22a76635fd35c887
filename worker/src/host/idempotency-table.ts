import type { IncomingCall } from './incoming-call.ts';

/** Keys remembered per actor; the oldest answered ones are forgotten first. */
const KEYS_KEPT = 10_000;

/**
 * Calls with one idempotency key run once. While the first runs, later ones wait for its answer; afterwards they get
 * it again: the very record that was sent, under their own number.
 */
export class IdempotencyTable {
  readonly #entries = new Map<
    string,
    { answer: unknown[] | undefined; segments: Uint8Array[] | undefined; waiting: IncomingCall[] }
  >();

  /** True when this call is the one to run. `runInstead` gets those that waited for it when it is cancelled unrun. */
  enter(call: IncomingCall, runInstead: (waiting: IncomingCall) => void): boolean {
    const key = call.idempotencyKey as string;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      if (known.answer === undefined) known.waiting.push(call);
      else repeat(call, known.answer, known.segments);
      return false;
    }
    this.#forgetOldest();
    this.#entries.set(key, { answer: undefined, segments: undefined, waiting: [] });
    call.onRecord = (record, segments) => this.#answered(key, record, segments);
    call.onSkipped = () => {
      const waiting = this.#entries.get(key)?.waiting ?? [];
      this.#entries.delete(key);
      for (const other of waiting) if (!other.cancelled) runInstead(other);
    };
    return true;
  }

  #answered(key: string, record: unknown[], segments: Uint8Array[] | undefined): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.answer = record;
    entry.segments = segments;
    for (const call of entry.waiting.splice(0)) repeat(call, record, segments);
  }

  #forgetOldest(): void {
    if (this.#entries.size < KEYS_KEPT) return;
    for (const [key, entry] of this.#entries) {
      if (entry.answer === undefined) continue;
      this.#entries.delete(key);
      return;
    }
  }
}

function repeat(call: IncomingCall, answer: unknown[], segments: Uint8Array[] | undefined): void {
  const [kind, , ...rest] = answer;
  call.sendAnswer([kind, call.number, ...rest], segments);
}
