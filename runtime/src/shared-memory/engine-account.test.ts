import type * as koffiModule from 'koffi';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EngineAccount } from './engine-account.ts';

const ENGINE = 4096;
const KIB = 1024;
const KNOWN = '11.3.244.8-node.33';

/** Stands for koffi with an engine of these functions, and notes what its count is changed by. */
function fakeKoffi({ has = (_name: string): boolean => true, countedPerBuffer = 1 } = {}) {
  const adjusted: number[][] = [];
  let count = 0;
  const func = (name: string) => {
    if (!has(name)) throw new Error(`Cannot find function ${name}`);
    if (name.includes('GetCurrent')) return () => ENGINE;
    return (engine: number, bytes: number) => {
      if (bytes !== 0) adjusted.push([engine, bytes]);
      return (count += bytes);
    };
  };
  const RealBuffer = ArrayBuffer;
  vi.stubGlobal('ArrayBuffer', function (bytes: number) {
    count += countedPerBuffer * bytes;
    return new RealBuffer(bytes);
  });
  const koffi = { load: () => ({ func }) } as unknown as typeof koffiModule;
  return { adjusted, open: (version = KNOWN) => EngineAccount.open(koffi, 'linux', version) };
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("the engine's count of memory", () => {
  it('loses what views have beyond eight kibibytes, and never gets more', () => {
    const { open, adjusted } = fakeKoffi();
    const account = open();
    expect(account).toBeDefined();
    for (const sizeBytes of [1, 8 * KIB, 8 * KIB + 1, 1024 * KIB]) account?.takeOff(sizeBytes);
    expect(adjusted).toEqual([
      [ENGINE, -1],
      [ENGINE, -1016 * KIB],
    ]);
  });

  it.each(['11.3.244.8-electron.0', '11.3.244.8', '12.4.254.21-node.26', '113.3.1.1-node.1'])(
    'is left alone in the engine %s',
    (version) => {
      expect(fakeKoffi().open(version)).toBeUndefined();
    },
  );

  it('is left alone where the engine has no such function', () => {
    const has = (name: string): boolean => name.includes('GetCurrent');
    expect(fakeKoffi({ has }).open()).toBeUndefined();
  });

  it('is left alone where it does not grow by what an ArrayBuffer has', () => {
    expect(fakeKoffi({ countedPerBuffer: 2 }).open()).toBeUndefined();
    expect(fakeKoffi({ countedPerBuffer: 0 }).open()).toBeUndefined();
  });
});
