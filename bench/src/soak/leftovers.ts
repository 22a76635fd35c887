import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A file that a store keeps for as long as its node lives. */
const LASTING = /^(?:control|owner\.json)$/;

async function filesUnder(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    // Gone, or just going.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Where the files of the objects of these nodes are: memory, and what was moved to disk. */
async function storePlaces(nodeIds: readonly string[], temporary: string): Promise<string[]> {
  const all = await Promise.all(['/dev/shm', temporary].map((place) => placesIn(place)));
  return all.flat().filter((place) => nodeIds.some((nodeId) => place.endsWith(nodeId)));
}

async function placesIn(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, {
      recursive: directory !== '/dev/shm',
      withFileTypes: true,
    });
    return entries
      .filter((entry) => entry.isDirectory() && entry.name.startsWith('manta-'))
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Files of nodes that stand for objects in memory and on disk, and those of the processes that may look at them. */
export async function objectFiles(
  nodeIds: readonly string[],
  temporary: string,
): Promise<{ segments: string[]; pins: string[]; spilled: string[] }> {
  const places = await storePlaces(nodeIds, temporary);
  const files = (await Promise.all(places.map(filesUnder))).flat();
  const named = (pattern: RegExp) =>
    files.filter((file) => pattern.test(file.slice(file.lastIndexOf('/') + 1)));
  const segments = named(/^segment-/);
  const pins = named(/^pins-/);
  const spilled = files.filter(
    (file) =>
      !segments.includes(file) &&
      !pins.includes(file) &&
      !LASTING.test(file.slice(file.lastIndexOf('/') + 1)),
  );
  return { segments, pins, spilled };
}

/** All files that nodes have, or had, anywhere. */
export async function filesOfNodes(
  nodeIds: readonly string[],
  temporary: string,
): Promise<string[]> {
  const places = await storePlaces(nodeIds, temporary);
  const inStores = (await Promise.all(places.map(filesUnder))).flat();
  return [...new Set([...inStores, ...(await filesUnder(temporary))])];
}

const POLL_MS = 100;

/** The result when it is empty, or as it is after `timeoutMs`. */
export async function untilNone<T>(timeoutMs: number, list: () => Promise<T[]>): Promise<T[]> {
  const deadline = performance.now() + timeoutMs;
  let found = await list();
  while (found.length > 0 && performance.now() < deadline) {
    await delay(POLL_MS);
    found = await list();
  }
  return found;
}

/** Of its own: without pages that it shares with others, such as those of the object store. Undefined: not Linux. */
export async function privateMemoryBytes(pid: number): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}
