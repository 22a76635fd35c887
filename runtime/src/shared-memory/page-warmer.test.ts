import { beforeEach, expect, it } from 'vitest';
import type { NativeMemory } from './native-memory.ts';
import { PageWarmer } from './page-warmer.ts';

const MIB = 1024 * 1024;

interface Call {
  address: number;
  lengthBytes: number;
  end: (isDone: boolean) => void;
}

let calls: Call[];
let warmer: PageWarmer;
let warmed: number[][];
beforeEach(() => {
  calls = [];
  warmed = [];
  const populate: NativeMemory['populate'] = (address, lengthBytes, end) =>
    void calls.push({ address, lengthBytes, end });
  warmer = new PageWarmer({ populate } as NativeMemory);
});

/** Address and length of those that are under way, in mebibytes. */
const underWay = (): number[][] =>
  calls.map(({ address, lengthBytes }) => [address / MIB, lengthBytes / MIB]);
const end = (isDone = true): void => calls.shift()?.end(isDone);
const range = (segmentId: number, startMib: number, mebibytes: number) => ({
  segmentId,
  address: startMib * MIB,
  lengthBytes: mebibytes * MIB,
  noteWarmed: (address: number, lengthBytes: number) =>
    void warmed.push([address / MIB, lengthBytes / MIB]),
});

it('goes slice by slice, and first to what is about to be written', () => {
  warmer.warm(range(1, 100, 40));
  warmer.warmFirst(range(2, 500, 20));
  expect(underWay()).toEqual([[100, 16]]);
  const slices = [
    [100, 16],
    [500, 16],
    [516, 4],
    [116, 16],
    [132, 8],
  ];
  for (const next of [...slices.slice(1), undefined]) {
    end();
    expect(underWay()).toEqual(next === undefined ? [] : [next]);
  }
  expect(warmed).toEqual(slices);
});

it('brings in what is written meanwhile in one call beside the slices', () => {
  warmer.warm(range(1, 100, 40));
  warmer.warmAtOnce(range(1, 500, 400));
  expect(underWay()).toEqual([
    [100, 16],
    [500, 400],
  ]);
});

it('lets a segment go only when nothing of it is under way', () => {
  warmer.warm(range(1, 100, 40));
  warmer.warmAtOnce(range(1, 500, 400));
  warmer.warm(range(2, 900, 1));
  const forgotten: number[] = [];
  warmer.forget(3, () => forgotten.push(3));
  expect(forgotten).toEqual([3]);
  warmer.forget(1, () => forgotten.push(1));
  end();
  expect(forgotten).toEqual([3]);
  // Given back meanwhile: that its pages cannot be had says nothing about others.
  end(false);
  expect(forgotten).toEqual([3, 1]);
  expect(underWay()).toEqual([[900, 1]]);
});

it('does nothing any more where the system cannot', () => {
  warmer.warm(range(1, 100, 40));
  end(false);
  warmer.warm(range(2, 900, 1));
  warmer.warmFirst(range(2, 900, 1));
  warmer.warmAtOnce(range(2, 900, 1));
  expect(underWay()).toEqual([]);
});
