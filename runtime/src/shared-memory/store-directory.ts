import { accessSync, constants, lstatSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { parseId, type NodeId } from '../ids.ts';
import { codeOf, namesIn } from './store-files.ts';
import { ownerState, readStoreOwner } from './store-owner.ts';

export const MEMORY_DIRECTORY = '/dev/shm';
/** A store without an owner's name: its maker died between two calls, or is between them now. */
const OWNERLESS_AGE_MS = 60_000;

export interface StoreDirectoryOptions {
  nodeId: NodeId;
  limitBytes: number;
  /** Used when there is no shared memory, or too little; on a disk, best one of its own. */
  fileDirectory: string;
  /** Default: /dev/shm. */
  memoryDirectory?: string;
}

export interface StoreDirectory {
  /** Not made yet: `SharedStore.create` does. */
  directory: string;
  /** 'files': pages may be written to a disk, which is slower. */
  kind: 'memory' | 'files';
  /** Why shared memory is not used, to be logged; undefined when it is. */
  reason: string | undefined;
}

/** Where a node's store goes: in memory, unless that is missing, not writable or smaller than the limit. */
export function chooseStoreDirectory(options: StoreDirectoryOptions): StoreDirectory {
  const memoryDirectory = options.memoryDirectory ?? MEMORY_DIRECTORY;
  const name = `manta-${userId()}-${options.nodeId}`;
  const reason = whyNotIn(memoryDirectory, options.limitBytes);
  return reason === undefined
    ? { directory: join(memoryDirectory, name), kind: 'memory', reason }
    : { directory: join(options.fileDirectory, name), kind: 'files', reason };
}

/**
 * Removes this user's stores whose agents died: those of earlier boots, those whose process is gone. Stores of other
 * containers, whose processes cannot be seen from here, stay.
 * @returns the directories that were removed
 */
export function removeDeadStores(
  parentDirectories: readonly string[],
  nowMs = Date.now(),
): string[] {
  const removed: string[] = [];
  for (const parent of new Set(parentDirectories))
    for (const name of namesIn(parent)) {
      const directory = join(parent, name);
      if (!isStoreName(name) || !isDead(directory, nowMs)) continue;
      rmSync(directory, { recursive: true, force: true });
      removed.push(directory);
    }
  return removed;
}

const userId = (): number => process.geteuid?.() ?? 0;

function whyNotIn(directory: string, limitBytes: number): string | undefined {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(directory);
    const freeBytes = bavail * bsize;
    if (freeBytes >= limitBytes) return undefined;
    return `${directory} has ${freeBytes} bytes free and the object store may take ${limitBytes}: enlarge it (docker run --shm-size) or lower the limit`;
  } catch (error) {
    return `${directory} cannot be used (${codeOf(error) ?? String(error)})`;
  }
}

function isStoreName(name: string): boolean {
  const prefix = `manta-${userId()}-`;
  return name.startsWith(prefix) && parseId('node', name.slice(prefix.length)) !== undefined;
}

function isDead(directory: string, nowMs: number): boolean {
  const stats = lstatSync(directory, { throwIfNoEntry: false });
  if (
    stats === undefined ||
    !stats.isDirectory() ||
    stats.uid !== (process.geteuid?.() ?? stats.uid)
  )
    return false;
  const owner = readStoreOwner(directory);
  if (owner === undefined) return nowMs - stats.mtimeMs > OWNERLESS_AGE_MS;
  return ownerState(owner) === 'dead';
}
