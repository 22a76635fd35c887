import type { Clock } from '../time/clock.ts';

/** A process is quiet that did next to nothing for so long. */
export const QUIET_MS = 5_000;
/** Of the time that is looked at: the event loop of this thread was active no longer than this. */
const QUIET_SHARE = 0.02;
/** Collecting must not be what a quiet process does: it takes at most a thousandth of the time. */
const PAUSE_TIMES_COLLECTION = 1_000;
/** Where nothing is found the pause doubles, up to this. */
const PAUSE_MS_MAX = 120_000;

interface QuietGarbageOptions {
  readonly clock: Clock;
  readonly collectGarbage: () => Promise<void>;
  /**
   * Grows with what is held here that is not in this heap: refs and handles of others, calls that give streams, bytes of
   * the store.
   */
  readonly held: () => number;
  /** The share of the time since it was last asked in which this thread worked, 0 to 1. */
  readonly activeShare: () => number;
}

/**
 * Has garbage collected in a process that is quiet. Refs, views and handles keep objects and actors of others until the
 * engine finds that nobody can reach them here, and it looks only when memory is asked for: a process that does nothing
 * would keep them without end.
 *
 *     idle ──(1) something is held──▶ waiting ──(2) quiet──▶ collecting ──(3) nothing is held──▶ idle
 *                                     ▲  │ ▲                     │
 *                         (5) not yet └──┘ └─(4) something is────┘
 */
export class QuietGarbage {
  readonly #options: QuietGarbageOptions;
  #isIdle = true;
  #pauseMs = QUIET_MS;

  constructor(options: QuietGarbageOptions) {
    this.#options = options;
  }

  /** This process holds more than before. */
  note(): void {
    this.#pauseMs = QUIET_MS;
    if (this.#isIdle) this.#wait(QUIET_MS);
  }

  #wait(pauseMs: number): void {
    const { clock, activeShare } = this.#options;
    this.#isIdle = false;
    activeShare();
    clock.after(pauseMs, () => this.#look(), { unref: true });
  }

  #look(): void {
    if (this.#options.activeShare() > QUIET_SHARE) this.#wait(QUIET_MS);
    else void this.#collect();
  }

  async #collect(): Promise<void> {
    const { clock, collectGarbage, held } = this.#options;
    const [start, before] = [clock.now(), held()];
    if (before > 0) await collectGarbage();
    const after = held();
    this.#isIdle = after === 0;
    if (this.#isIdle) return;
    const tookMs = clock.now() - start;
    this.#wait(Math.max(this.#pauseMs, tookMs * PAUSE_TIMES_COLLECTION));
    // What was found may have been all that kept other things.
    this.#pauseMs = after < before ? QUIET_MS : Math.min(2 * this.#pauseMs, PAUSE_MS_MAX);
  }
}

/** The share of the time since the last question in which the event loop of this thread was active. */
export function activeShareOfThread(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
