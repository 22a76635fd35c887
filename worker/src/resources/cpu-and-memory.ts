import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';

/** Reads a small file of the system, or undefined when there is none. */
export type ReadText = (path: string) => string | undefined;

export const readSystemText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Absent in this version of cgroups, or on another system: the caller has a default.
    return undefined;
  }
};

const CGROUP_ROOT = '/sys/fs/cgroup';

/** This process's directory of a cgroup controller (version 1), or of the unified hierarchy (version 2). */
export function cgroupDirectories(
  readText: ReadText,
  controller: 'memory' | 'cpu',
): { version: 1 | 2; path: string }[] {
  const lines = (readText('/proc/self/cgroup') ?? '').split('\n');
  const found: { version: 1 | 2; path: string }[] = [];
  for (const line of lines) {
    const [hierarchy, controllers, path] = line.split(':');
    if (path === undefined) continue;
    if (hierarchy === '0' && controllers === '') {
      found.push({ version: 2, path: join(CGROUP_ROOT, path) });
    } else if (controllers?.split(',').includes(controller)) {
      found.push({ version: 1, path: join(CGROUP_ROOT, controller, path) });
      // Inside a container the files of its own group stand at the root of the mount.
      found.push({ version: 1, path: join(CGROUP_ROOT, controller) });
    }
  }
  return found;
}

/** CPUs this process may use: affinity and the cgroup's quota respected, at least one. */
export function detectCpus(readText: ReadText = readSystemText): number {
  const limits = cgroupDirectories(readText, 'cpu').flatMap(({ version, path }) => {
    const [quota, period] =
      version === 2
        ? (readText(join(path, 'cpu.max')) ?? '').trim().split(' ')
        : [readText(join(path, 'cpu.cfs_quota_us')), readText(join(path, 'cpu.cfs_period_us'))];
    const share = Number(quota) / Number(period);
    return Number.isFinite(share) && share > 0 ? [share] : [];
  });
  return Math.max(1, Math.floor(Math.min(availableParallelism(), ...limits)));
}

/** Memory this process may use: the machine's, or the cgroup's limit when that is lower. */
export function detectMemoryBytes(
  readText: ReadText = readSystemText,
  machineBytes: number = totalmem(),
): number {
  const limits = cgroupDirectories(readText, 'memory').flatMap(({ version, path }) => {
    const text = readText(join(path, version === 2 ? 'memory.max' : 'memory.limit_in_bytes'));
    const bytes = Number(text?.trim() || Number.NaN);
    return Number.isFinite(bytes) && bytes > 0 ? [bytes] : [];
  });
  return Math.min(machineBytes, ...limits);
}

/** How many processes of this cgroup the kernel has killed for lack of memory, or undefined when it does not say. */
export function readOomKills(readText: ReadText = readSystemText): number | undefined {
  for (const { version, path } of cgroupDirectories(readText, 'memory')) {
    const text = readText(join(path, version === 2 ? 'memory.events' : 'memory.oom_control'));
    const match = /^oom_kill (\d+)$/m.exec(text ?? '');
    if (match) return Number(match[1]);
  }
  return undefined;
}
