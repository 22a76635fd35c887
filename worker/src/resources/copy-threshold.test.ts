import { describe, expect, it } from 'vitest';
import { cacheFrom, copyThreshold } from './copy-threshold.ts';

const MIB = 1024 * 1024;
const SETTING = 'glibc.cpu.x86_non_temporal_threshold=4194304';

describe('the size from which copies go past the cache', () => {
  it('is set where a virtual machine shows the cache of its host', () => {
    expect(copyThreshold({ sizeBytes: 480 * MIB, processors: 2 }, undefined)).toEqual({
      GLIBC_TUNABLES: SETTING,
    });
  });

  it('is left to the system where the cache is that of its processors', () => {
    expect(copyThreshold({ sizeBytes: 96 * MIB, processors: 16 }, undefined)).toEqual({});
    expect(copyThreshold({ sizeBytes: 8 * MIB, processors: 1 }, undefined)).toEqual({});
  });

  it('stays what the user has set, beside other settings of his', () => {
    const cache = { sizeBytes: 480 * MIB, processors: 2 };
    const own = 'glibc.cpu.x86_non_temporal_threshold=0x8000000';
    expect(copyThreshold(cache, own)).toEqual({});
    expect(copyThreshold(cache, 'glibc.malloc.tcache_count=0')).toEqual({
      GLIBC_TUNABLES: `glibc.malloc.tcache_count=0:${SETTING}`,
    });
  });
});

it("a system's description of a cache is read, or nothing is known", () => {
  expect(cacheFrom('491520K', '0-1')).toEqual({ sizeBytes: 480 * MIB, processors: 2 });
  expect(cacheFrom('32768K', '0-3,8,10-11')).toEqual({ sizeBytes: 32 * MIB, processors: 7 });
  for (const [size, processors] of [
    ['32M', '0'],
    ['', '0'],
    ['1024K', ''],
    ['1024K', 'a-b'],
    ['1024K', '3-1'],
  ] as const)
    expect(cacheFrom(size, processors)).toBeUndefined();
});
