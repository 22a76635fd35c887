import type { ProcessId } from '../ids.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';

export interface SilentBorrowersOptions {
  clock: Clock;
  /** It has been given refs of ours, and has not said itself that it holds them. */
  readonly isSilent: (processId: ProcessId) => boolean;
  /** Asks it what it holds. While the connection for that lasts, its end tells of the process's. */
  readonly visit: (address: ProcessAddress) => Promise<void>;
  readonly onDied: (processId: ProcessId) => void;
  /** Nobody knew its address while it was waited for. */
  readonly onNotFound: (processId: ProcessId) => void;
}

const PAUSE_MS = 3_000;
/** The pauses grow up to this while it lives and does not hold what others may still be sending. */
const PAUSE_MAX_MS = 12_000;
/** A process that is busy may be silent for so many pauses, and not take a connection. */
const ATTEMPTS = 5;
/** Nobody knows where it is: it can only be waited for, as it comes to us itself once it holds something new. */
const ATTEMPTS_WITHOUT_ADDRESS = 20;

/**
 * Processes that were given refs of ours. One that dies before it has come to us would count as a borrower for ever,
 * as no connection of ours ends with it; so would one that lives, but never got what a process sent that has died, or
 * what was on a connection that broke. So those who stay silent are visited.
 */
export class SilentBorrowers {
  readonly #options: SilentBorrowersOptions;
  readonly #expected = new Map<ProcessId, ProcessAddress | undefined>();

  constructor(options: SilentBorrowersOptions) {
    this.#options = options;
  }

  expect(processId: ProcessId, address: ProcessAddress | undefined): void {
    const isKnown = this.#expected.has(processId);
    this.#expected.set(processId, address ?? this.#expected.get(processId));
    if (!isKnown) this.#visitLater(processId, 1);
  }

  #visitLater(processId: ProcessId, attempt: number, pauseMs = PAUSE_MS): void {
    const visit = (): void => void this.#visit(processId, attempt, pauseMs);
    this.#options.clock.after(pauseMs, visit, { unref: true });
  }

  async #visit(processId: ProcessId, attempt: number, pauseMs: number): Promise<void> {
    const { isSilent, visit, onDied, onNotFound } = this.#options;
    const address = this.#expected.get(processId);
    if (!isSilent(processId)) {
      this.#expected.delete(processId);
      return;
    }
    try {
      if (address !== undefined) {
        await visit(address);
        this.#visitLater(processId, 1, Math.min(2 * pauseMs, PAUSE_MAX_MS));
        return;
      }
    } catch {
      // What the other attempts are for.
    }
    if (attempt < (address === undefined ? ATTEMPTS_WITHOUT_ADDRESS : ATTEMPTS)) {
      this.#visitLater(processId, attempt + 1);
      return;
    }
    this.#expected.delete(processId);
    if (address === undefined) onNotFound(processId);
    else onDied(processId);
  }
}
