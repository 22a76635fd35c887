import { assert } from '@manta/runtime/assert';

const CAPACITY = 16_384;
/** The slot after the last pid: not 0 since `killAll`. */
const KILLED = CAPACITY;

export interface GroupWatcher {
  add(pid: number): void;
  remove(pid: number): void;
}

/**
 * The process groups of this node's hosts, in memory that both the agent's main thread and its heartbeat thread see:
 * the latter must be able to end them while the former is stuck.
 */
export class ProcessGroups {
  readonly buffer: SharedArrayBuffer;
  private readonly pids: Int32Array;

  private watcher: GroupWatcher | undefined;

  constructor(buffer = new SharedArrayBuffer((CAPACITY + 1) * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.pids = new Int32Array(buffer);
  }

  /** From now on told of every change, and at once of what is there. */
  watch(watcher: GroupWatcher): void {
    this.watcher = watcher;
    for (const pid of this.pids.subarray(0, CAPACITY)) if (pid !== 0) watcher.add(pid);
  }

  add(pid: number): void {
    const slot = this.pids.indexOf(0);
    assert(slot >= 0 && slot < CAPACITY, `more than ${CAPACITY} host processes on one node`);
    Atomics.store(this.pids, slot, pid);
    this.watcher?.add(pid);
  }

  remove(pid: number): void {
    const slot = this.pids.indexOf(pid);
    if (slot < 0) return;
    Atomics.store(this.pids, slot, 0);
    this.watcher?.remove(pid);
  }

  /** True from `killAll` until `clearKilled`: a process that ends by SIGKILL was fenced. */
  get wereKilled(): boolean {
    return Atomics.load(this.pids, KILLED) !== 0;
  }

  clearKilled(): void {
    Atomics.store(this.pids, KILLED, 0);
  }

  /** Sends SIGKILL to every group and says to how many. */
  killAll(): number {
    // First, so that whoever sees a process end knows why.
    Atomics.store(this.pids, KILLED, 1);
    let killed = 0;
    for (let slot = 0; slot < CAPACITY; slot += 1) {
      const pid = Atomics.load(this.pids, slot);
      if (pid !== 0 && signalGroup(pid, 'SIGKILL')) killed += 1;
    }
    return killed;
  }
}

/** Signals every process of the group; false when none is left. */
export function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // EPERM (macOS): only zombies are left in the group.
    if (code === 'ESRCH' || code === 'EPERM') return false;
    throw error;
  }
}
