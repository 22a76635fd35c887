import type { CoreProcess } from '@manta/runtime/core/core-process';
import { ObjectRef } from '@manta/runtime/objects/object-ref';
import { isPrimitive } from '@manta/runtime/objects/payload';
import { RECORD } from '@manta/runtime/rpc/records';
import type { IncomingCall, OutcomeKeeper } from './incoming-call.ts';

/** Per actor. The oldest outcomes are forgotten first. */
const KEYS_KEPT = 10_000;
const BYTES_KEPT = 256 * 1024 * 1024;
/** What an outcome takes beside its value. */
const OUTCOME_BYTES = 256;

/** An encoded error, or the value as an object of this process. */
type Outcome = Uint8Array | ObjectRef<unknown>;

interface Entry {
  /** Undefined: the call has not ended. */
  outcome: Outcome | undefined;
  sizeBytes: number;
  readonly waiting: IncomingCall[];
}

/**
 * Calls with one idempotency key run once in a life of the actor. While the first runs, later ones wait; afterwards they
 * get its outcome again: its error, or its value. That is kept as if it had been put, with the refs inside, and each
 * caller is given its own, as if the method had returned it to that caller.
 */
export class IdempotencyTable {
  readonly #core: CoreProcess;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(core: CoreProcess) {
    this.#core = core;
  }

  /** True when this call is the one to run. `runInstead` gets those that waited for it when it ends unrun. */
  enter(call: IncomingCall, runInstead: (waiting: IncomingCall) => void): boolean {
    const key = call.idempotencyKey as string;
    const known = this.#entries.get(key);
    if (known !== undefined && !(call.isRetry && known.outcome instanceof Uint8Array)) {
      if (known.outcome === undefined) known.waiting.push(call);
      else this.#repeat(call, known.outcome);
      return false;
    }
    if (known !== undefined) this.#forget(key, known);
    const entry: Entry = { outcome: undefined, sizeBytes: 0, waiting: [] };
    this.#entries.set(key, entry);
    this.#makeRoom(entry);
    call.keeper = this.#keeperOf(key, entry, runInstead);
    return true;
  }

  #keeperOf(key: string, entry: Entry, runInstead: (waiting: IncomingCall) => void): OutcomeKeeper {
    return {
      returned: (value) => this.#put(entry, value),
      failed: (encodedError) => {
        // It has returned, but this caller could not be given the value: that is no outcome for others.
        if (entry.outcome === undefined) this.#keep(entry, encodedError, encodedError.byteLength);
      },
      skipped: () => {
        this.#forget(key, entry);
        for (const other of entry.waiting.splice(0)) if (!other.cancelled) runInstead(other);
      },
    };
  }

  /** @throws SerializationError, ObjectStoreFullError */
  #put(entry: Entry, value: unknown): void {
    const ref = new ObjectRef<unknown>(this.#core);
    if (isPrimitive(value)) {
      ref.resolve(value);
      this.#keep(entry, ref, typeof value === 'string' ? 2 * value.length : 0);
      return;
    }
    const encoded = this.#core.codec.encodeParts(value, 'result');
    this.#core.owned.keep(ref, this.#core.values.keepEncoded(encoded));
    this.#keep(entry, ref, encoded.sizeBytes);
  }

  #keep(entry: Entry, outcome: Outcome, sizeBytes: number): void {
    entry.outcome = outcome;
    entry.sizeBytes = sizeBytes + OUTCOME_BYTES;
    this.#bytes += entry.sizeBytes;
    for (const call of entry.waiting.splice(0)) this.#repeat(call, outcome);
    this.#makeRoom(entry);
  }

  #repeat(call: IncomingCall, outcome: Outcome): void {
    if (outcome instanceof Uint8Array) {
      call.sendAnswer([RECORD.failure, call.number, outcome]);
      return;
    }
    outcome.deliver({
      resolve: (value) => call.replyOrFail(value, this.#core),
      reject: (error) => call.fail(error),
    });
  }

  /** Never forgets what runs, nor the newest outcome, however large. */
  #makeRoom(newest: Entry): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= KEYS_KEPT && this.#bytes <= BYTES_KEPT) return;
      if (entry.outcome !== undefined && entry !== newest) this.#forget(key, entry);
    }
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.sizeBytes;
  }
}
