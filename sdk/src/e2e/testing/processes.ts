import { execFileSync } from 'node:child_process';
import { waitFor } from '@manta/runtime/testing/wait-for';

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The processes that this one started, and those that they started. */
export function descendantsOf(pid: number): number[] {
  const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/).map(Number) as [number, number]);
  const found: number[] = [];
  const search = (parent: number): void => {
    for (const [child, itsParent] of rows) {
      if (itsParent !== parent) continue;
      found.push(child);
      search(child);
    }
  };
  search(pid);
  return found;
}

export function processGone(pid: number): Promise<boolean> {
  return waitFor(() => !isAlive(pid), { timeoutMs: 5_000, describe: `process ${pid} is gone` });
}

/** The command line of a process; empty when it is gone. */
export function commandOf(pid: number): string {
  try {
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return '';
  }
}
