import { cpus, freemem, totalmem } from 'node:os';
import type { Clock } from '@manta/runtime/time/clock';

/** Nothing was asked of the node for so long: what it does now is unlikely to disturb anybody. */
const QUIET_MS = 500;
/** Between two tries; over it, the processors' idle time is measured. */
const GAP_MS = 100;
const IDLE_SHARE_MIN = 0.5;
const FREE_MEMORY_SHARE_MIN = 0.25;

export interface MachineUse {
  /** Of all processors, since the machine started; any unit. */
  idle: number;
  total: number;
  freeMemoryShare: number;
}

export interface SpareTimeOptions {
  clock: Clock;
  /** Is there something to do at leisure? */
  wanted: () => boolean;
  run: () => void;
  machineUse?: () => MachineUse;
}

/** Runs work that can wait, a step at a time, while the node is asked for nothing and its machine has little to do. */
export class SpareTime {
  readonly #options: SpareTimeOptions;
  readonly #machineUse: () => MachineUse;
  #disturbedAt: number;
  #last: MachineUse | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(options: SpareTimeOptions) {
    this.#options = options;
    this.#machineUse = options.machineUse ?? machineUse;
    this.#disturbedAt = options.clock.now();
  }

  /** The node works: leisure begins anew after it. */
  disturb(): void {
    this.#disturbedAt = this.#options.clock.now();
    this.#last = undefined;
  }

  /** Call when there may be something to do. */
  check(): void {
    if (!this.#options.wanted()) {
      this.stop();
      return;
    }
    if (this.#cancelTimer !== undefined) return;
    const { clock } = this.#options;
    const quietInMs = this.#disturbedAt + QUIET_MS - clock.now();
    if (quietInMs <= GAP_MS) this.#last ??= this.#machineUse();
    const delayMs = Math.max(GAP_MS, quietInMs);
    this.#cancelTimer = clock.after(delayMs, () => this.#tick(), { unref: true });
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#last = undefined;
  }

  #tick(): void {
    this.#cancelTimer = undefined;
    const { clock, run, wanted } = this.#options;
    if (wanted() && clock.now() - this.#disturbedAt >= QUIET_MS) {
      const before = this.#last;
      // Measured anew over the next gap: never over what is started here.
      this.#last = undefined;
      if (before !== undefined && isIdle(before, this.#machineUse())) run();
    }
    this.check();
  }
}

function isIdle(before: MachineUse, now: MachineUse): boolean {
  if (now.freeMemoryShare < FREE_MEMORY_SHARE_MIN) return false;
  return now.idle - before.idle >= IDLE_SHARE_MIN * (now.total - before.total);
}

export function machineUse(platform: NodeJS.Platform = process.platform): MachineUse {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  // macOS fills its memory with what may be wanted again, and counts none of that as free.
  const freeMemoryShare = platform === 'darwin' ? 1 : freemem() / totalmem();
  return { idle, total, freeMemoryShare };
}
