import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRole } from './roles/processes.ts';

const pidPath = (directory: string): string => join(directory, 'pid');

/** The first directory that no running node has: a node that ends removes what is in its own. */
export async function freeNodeDirectory(
  home: string,
): Promise<{ number: number; directory: string }> {
  for (let number = 0; ; number += 1) {
    const directory = join(home, 'nodes', String(number));
    const pid = await notedPid(directory);
    if (pid === undefined || !(await isRole(pid))) return { number, directory };
  }
}

export async function noteNodeDirectory(directory: string, pid: number): Promise<void> {
  await writeFile(pidPath(directory), String(pid));
}

async function notedPid(directory: string): Promise<number | undefined> {
  try {
    return Number(await readFile(pidPath(directory), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
