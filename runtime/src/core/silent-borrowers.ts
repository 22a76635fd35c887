import type { ProcessId } from '../ids.ts';
import type { Clock } from '../time/clock.ts';
import type { ProcessAddress } from '../wire/messages.ts';

export interface SilentBorrowersOptions {
  clock: Clock;
  /** It counts as a borrower, and has not said so itself. */
  readonly isSilent: (processId: ProcessId) => boolean;
  /** While the connection lasts, its end tells of the process's. */
  readonly connect: (address: ProcessAddress) => Promise<unknown>;
  readonly onDied: (processId: ProcessId) => void;
}

const PAUSE_MS = 3_000;
/** A process that is busy may be silent for so many pauses, and not take a connection. */
const ATTEMPTS = 5;
/** Nobody knows where it is: it can only be waited for. */
const ATTEMPTS_WITHOUT_ADDRESS = 20;

/**
 * Processes that others say they have passed our refs on to. One that dies before it has come to us would count as a
 * borrower for ever, as no connection of ours ends with it. So those who stay silent are visited.
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

  #visitLater(processId: ProcessId, attempt: number): void {
    const visit = (): void => void this.#visit(processId, attempt);
    this.#options.clock.after(PAUSE_MS, visit, { unref: true });
  }

  async #visit(processId: ProcessId, attempt: number): Promise<void> {
    const { isSilent, connect, onDied } = this.#options;
    const address = this.#expected.get(processId);
    if (!isSilent(processId)) {
      this.#expected.delete(processId);
      return;
    }
    try {
      if (address !== undefined) {
        await connect(address);
        this.#expected.delete(processId);
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
    onDied(processId);
  }
}
