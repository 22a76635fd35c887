import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { NativeMemory } from './native-memory.ts';
import { OwnSegment } from './own-segment.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'manta-segment-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const openFiles = (): number => readdirSync('/proc/self/fd').length;
const PAGES = 16;

/** A kernel that maps `mappings` times, and then no more. */
function exhausted(mappings: number): NativeMemory {
  let left = mappings;
  const memory: Partial<NativeMemory> = {
    reserve: () => 'unsupported',
    map: () => {
      if (left === 0) throw new Error('mmap failed');
      left -= 1;
      return 4096;
    },
    unmap: () => undefined,
    view: (_address, lengthBytes) => new ArrayBuffer(lengthBytes),
  };
  return memory as NativeMemory;
}

it.runIf(process.platform === 'linux').each([0, 1])(
  'a segment that cannot be mapped leaves neither file nor descriptor (after %i mappings)',
  (mappings) => {
    const before = openFiles();
    const place = { directory, segmentId: 7, owner: 'p_1', memory: exhausted(mappings) };
    expect(() => OwnSegment.create(place, PAGES, 1)).toThrow(/mmap failed/);
    expect(readdirSync(directory)).toEqual([]);
    expect(openFiles()).toBe(before);
  },
);

it.runIf(process.platform === 'linux').each([0, 1])(
  'a segment of a dead process that cannot be mapped stays its, and no descriptor is left (after %i mappings)',
  (mappings) => {
    const place = { directory, segmentId: 7, owner: 'p_1', memory: undefined };
    OwnSegment.create(place, PAGES, 1)?.detach();
    const before = openFiles();
    const heir = { ...place, owner: 'p_2', memory: exhausted(mappings) };
    expect(() => OwnSegment.adopt(heir, 'p_1', 1)).toThrow(/mmap failed/);
    expect(openFiles()).toBe(before);
    OwnSegment.adopt(place, 'p_1', 1)?.detach();
    expect(readdirSync(directory)).toEqual(['segment-7']);
  },
);
