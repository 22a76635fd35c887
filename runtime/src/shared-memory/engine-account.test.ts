import type * as koffiModule from 'koffi';
import { expect, it } from 'vitest';
import { EngineAccount } from './engine-account.ts';

const ENGINE = 4096;
const MIB = 1024 * 1024;

/** Stands for koffi with an engine that knows these functions, and notes what it is told. */
function fakeKoffi(functions: (name: string) => boolean) {
  const adjusted: number[][] = [];
  const func = (name: string) => {
    if (!functions(name)) throw new Error(`Cannot find function ${name}`);
    if (name.includes('GetCurrent')) return () => ENGINE;
    return (...parameters: number[]) => adjusted.push(parameters);
  };
  const koffi = { load: () => ({ func }) } as unknown as typeof koffiModule;
  return { koffi, adjusted };
}

const isKnown = process.versions.v8.startsWith('11.3.');

it('takes off what large views have beyond a mebibyte, and never adds, where it knows the engine', () => {
  const { koffi, adjusted } = fakeKoffi(() => true);
  const account = EngineAccount.open(koffi, 'linux');
  for (const sizeBytes of [1, MIB, MIB + 1, 1024 * MIB]) account?.takeOff(sizeBytes);
  const takenOff = [
    [ENGINE, -1],
    [ENGINE, -1023 * MIB],
  ];
  expect(adjusted).toEqual(isKnown ? takenOff : []);
});

it('leaves the count of an engine alone that has no such function', () => {
  const { koffi } = fakeKoffi((name) => name.includes('GetCurrent'));
  expect(EngineAccount.open(koffi, 'linux')).toBeUndefined();
});
