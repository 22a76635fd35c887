import { assert } from '@manta/runtime/assert';

const CAPACITY = 16_384;

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

  constructor(buffer = new SharedArrayBuffer(CAPACITY * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.pids = new Int32Array(buffer);
  }

  /** From now on told of every change, and at once of what is there. */
  watch(watcher: GroupWatcher): void {
    this.watcher = watcher;
    for (const pid of this.pids) if (pid !== 0) watcher.add(pid);
  }

  add(pid: number): void {
    const slot = this.pids.indexOf(0);
    assert(slot >= 0, `more than ${CAPACITY} host processes on one node`);
    Atomics.store(this.pids, slot, pid);
    this.watcher?.add(pid);
  }

  remove(pid: number): void {
    const slot = this.pids.indexOf(pid);
    if (slot < 0) return;
    Atomics.store(this.pids, slot, 0);
    this.watcher?.remove(pid);
  }

  /** Sends SIGKILL to every group and says to how many. */
  killAll(): number {
    let killed = 0;
    for (let slot = 0; slot < this.pids.length; slot += 1) {
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
