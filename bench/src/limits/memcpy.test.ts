import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { nativeMemory } from '@manta/runtime/shared-memory/native-memory';
import { coldMemcpyMs, realData, startMemcpy } from './memcpy.ts';

it.runIf(nativeMemory() !== undefined)('copies into shared memory and leaves no file', async () => {
  const directory = tmpdir();
  const memcpy = startMemcpy(realData(3 * 1024 * 1024), directory);
  expect(await memcpy.contender.round(5)).toBeGreaterThan(0);
  await memcpy[Symbol.asyncDispose]();
  expect(coldMemcpyMs({ count: 3, sizeBytes: 100_000 }, directory)).toBeGreaterThan(0);
  expect(readdirSync(directory).filter((name) => name.startsWith('manta-memcpy-'))).toEqual([]);
});

it('copies data that differs from page to page', () => {
  const data = realData(100_000);
  expect(data.length).toBe(100_000);
  expect(Buffer.compare(data.subarray(0, 4_096), data.subarray(4_096, 8_192))).not.toBe(0);
});
