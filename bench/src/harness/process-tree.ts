import { readFile, readdir, writeFile } from 'node:fs/promises';

/** Parent of each running process, from `/proc` (Linux only). */
async function parentsByPid(): Promise<Map<number, number>> {
  const parents = new Map<number, number>();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readOrGone(`/proc/${entry}/stat`);
    // The command's name stands in brackets and may hold blanks; state and parent follow the last bracket.
    const parent = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  return parents;
}

/** `rootPid` and all that descend from it. */
export async function processTree(rootPid: number): Promise<number[]> {
  const parents = await parentsByPid();
  const tree = [rootPid];
  for (const pid of tree) {
    for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  }
  return tree;
}

/**
 * Proportional set size of a whole tree of processes: private pages plus each shared page divided by its sharers, so
 * the sum over processes counts every page once. Undefined where the system does not tell (not Linux).
 */
export async function treeMemoryBytes(rootPid: number): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined;
  let kibibytes = 0;
  for (const pid of await processTree(rootPid)) {
    const rollup = await readOrGone(`/proc/${pid}/smaps_rollup`);
    kibibytes += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup ?? '')?.[1] ?? 0);
  }
  return kibibytes * 1024;
}

/** From now on `peakMemoryBytes` counts anew. */
export async function resetPeakMemory(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

/** The most that the process had resident. */
export async function peakMemoryBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** A process may end between being listed and being read. */
async function readOrGone(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
