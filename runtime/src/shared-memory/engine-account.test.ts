import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { afterEach, expect, it } from 'vitest';
import { collectGarbage } from '../core/garbage.ts';
import { TestStore } from '../testing/test-store.ts';
import { nativeMemory } from './native-memory.ts';

const SIZE_BYTES = 256 * 1024 * 1024;

let store: TestStore | undefined;

afterEach(() => store?.close());

it.runIf(nativeMemory() !== undefined)(
  'large views do not make the engine collect garbage again and again',
  async () => {
    store = new TestStore('mapped', 2 * SIZE_BYTES);
    const [producer, reader] = [store.attach(), store.attach()];
    const reserved = producer.reserve(SIZE_BYTES);
    if (reserved === undefined) throw new Error('the store has room');
    await collectGarbage();
    const collections: PerformanceEntry[] = [];
    const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()));
    observer.observe({ entryTypes: ['gc'] });
    let shownBytes = 0;
    for (let count = 0; count < 60; count++)
      shownBytes += reader.open(reserved.slot, SIZE_BYTES)?.bufferOf(0, SIZE_BYTES).byteLength ?? 0;
    expect(shownBytes).toBe(60 * SIZE_BYTES);
    await new Promise((resolve) => setImmediate(resolve));
    collections.push(...observer.takeRecords());
    observer.disconnect();
    const kinds = collections.map(({ detail }) => (detail as { kind: number }).kind);
    const major = kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MAJOR);
    expect(major.length).toBeLessThan(4);
    await collectGarbage();
    expect(reader.statistics().views).toBe(0);
  },
);
