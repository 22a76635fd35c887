import { defineTask } from '@manta/sdk';

/** Keeps its worker busy for so long. */
export const spinFor = defineTask(import.meta, function spinFor(milliseconds: number): number {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
  return milliseconds;
});

export const failAt = defineTask(import.meta, function failAt(index: number): never {
  throw new RangeError(`no place ${index}`);
});
