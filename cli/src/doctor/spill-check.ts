import { dirname, resolve } from 'node:path';
import { spillFreeBytesMin, type DiskSpace } from '@manta/worker/objects/spill-space';
import { fileSpillStorage } from '@manta/worker/objects/spill-storage';
import { formatBytes } from '../output.ts';
import type { Check, Finding } from './finding.ts';

interface SpillDirectory {
  directory: string;
  /** Undefined: the file system does not tell. */
  space: DiskSpace | undefined;
}

/** Whether the disks that a node here moves objects to have room for any. */
export const checkSpill: Check = async (context, { spill }) => {
  const directories = spill === undefined ? [context.home] : spill.split(',');
  try {
    return spillFinding(
      await Promise.all(
        directories.map(async (directory) => ({ directory, space: await spaceOf(directory) })),
      ),
    );
  } catch (error) {
    return {
      what: 'spill disk',
      level: 'problem',
      found: `cannot be used: ${(error as Error).message}`,
      todo: 'start nodes with --spill and directories that this user may write to',
    };
  }
};

/** A directory that is not there will be made in the next one above that is. */
async function spaceOf(directory: string): Promise<DiskSpace | undefined> {
  const path = resolve(directory);
  const space = await fileSpillStorage.space(path);
  return space === undefined && path !== dirname(path) ? spaceOf(dirname(path)) : space;
}

export function spillFinding(directories: readonly SpillDirectory[]): Finding {
  const what = 'spill disk';
  const found = directories.map(describe).join('; ');
  if (!directories.every(({ space }) => isFull(space))) return { what, level: 'ok', found };
  return {
    what,
    level: 'note',
    found: `${found}: once memory is full, no more can be stored`,
    todo: 'make room there, start nodes with --spill on another disk, or with a smaller --spill-free',
  };
}

const isFull = (space: DiskSpace | undefined): boolean =>
  space !== undefined && space.freeBytes <= spillFreeBytesMin(space.totalBytes);

function describe({ directory, space }: SpillDirectory): string {
  if (space === undefined) return `${directory} does not tell how much is free`;
  const { freeBytes, totalBytes } = space;
  const least = formatBytes(spillFreeBytesMin(totalBytes));
  return `${directory} has ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free, of which nodes leave ${least} to others`;
}
