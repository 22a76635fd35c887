import { randomFillSync } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import { nativeMemory } from '@manta/runtime/shared-memory/native-memory';
import { type Contender, contenderOf } from '../harness/timeit.ts';

/** Ray counts 0.8 GB for 100 Mi numbers of eight bytes. */
const GIGABYTE = 1_000 * 1024 * 1024;
/** Larger than any cache. */
const PATTERN_BYTES = 64 * 1024 * 1024;

export interface Memcpy extends AsyncDisposable {
  /** Gigabytes per second, counted as Ray does. */
  contender: Contender;
}

/**
 * The limit of `put`: a plain copy of the same bytes into warm shared memory, `Uint8Array.set` into a mapping whose pages
 * were touched.
 * @param directory where the file of the mapping is made (it has no name for long). Default /dev/shm.
 * @throws Error where memory cannot be mapped
 */
export function startMemcpy(source: Uint8Array, directory = '/dev/shm'): Memcpy {
  const { target, unmap } = mapFile(source.length, directory);
  const shared = target(0, source.length);
  const copy = (): void => shared.set(source);
  copy();
  return {
    contender: contenderOf({ multiplier: source.length / GIGABYTE, run: copy }),
    [Symbol.asyncDispose]() {
      unmap();
      return Promise.resolve();
    },
  };
}

/**
 * The limit of a first `put` of something large: milliseconds of a plain copy of so many parts, untouched zeros, into
 * shared memory that was never touched either. Most of it is the kernel giving new pages.
 * @throws Error where memory cannot be mapped
 */
export function coldMemcpyMs(
  parts: { count: number; sizeBytes: number },
  directory = '/dev/shm',
): number {
  const { target, unmap } = mapFile(parts.count * parts.sizeBytes, directory);
  const start = performance.now();
  for (let index = 0; index < parts.count; index++)
    target(index * parts.sizeBytes, parts.sizeBytes).set(new Uint8Array(parts.sizeBytes));
  const elapsedMs = performance.now() - start;
  unmap();
  return elapsedMs;
}

/** A file of its own, without a name, all of it in this process's memory. */
function mapFile(sizeBytes: number, directory: string) {
  const memory = nativeMemory();
  if (memory === undefined) throw new Error('koffi is missing: shared memory cannot be mapped');
  const path = `${directory}/manta-memcpy-${process.pid}`;
  const fd = openSync(path, 'wx+', 0o600);
  try {
    unlinkSync(path);
    ftruncateSync(fd, sizeBytes);
    const address = memory.map(fd, 0, sizeBytes, 'shared');
    return {
      target: (offset: number, length: number) =>
        new Uint8Array(memory.view(address + offset, length)),
      unmap: () => memory.unmap(address, sizeBytes),
    };
  } finally {
    closeSync(fd);
  }
}

/** Untouched zeros would all be one page of memory, read from the processor's cache. */
export function realData(sizeBytes: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(sizeBytes);
  const pattern = randomFillSync(new Uint8Array(Math.min(PATTERN_BYTES, sizeBytes)));
  for (let offset = 0; offset < sizeBytes; offset += pattern.length)
    data.set(pattern.subarray(0, sizeBytes - offset), offset);
  return data;
}
