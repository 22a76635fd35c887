import type * as koffiModule from 'koffi';

type Koffi = typeof koffiModule;

/** Views of so many bytes and more count as this many. */
const COUNTED_BYTES_MAX = 1024 * 1024;

/** The engine's own function that is told of memory outside its heap, as its C++ compiler named it. */
const CURRENT_ENGINE = '_ZN2v87Isolate10GetCurrentEv';
const ADJUST = {
  linux: '_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEl',
  darwin: '_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEx',
} as const;

/**
 * The engine counts each ArrayBuffer as memory that collecting it would give back, and collects garbage at once when
 * there are gigabytes of them: milliseconds for each view of a large value. Shared memory is not given back by that, so
 * what a view has beyond a mebibyte is taken off the count before. (Some is left: the engine is to notice views at all.)
 *
 * It is never put back. The engine looks at how far its count rose above the lowest since it last collected, so that it
 * may fall below zero; and putting back could make it collect within a native call, whose stack it cannot read.
 */
export class EngineAccount {
  private readonly engine: number;
  private readonly adjust: (engine: number, bytes: number) => void;

  private constructor(engine: number, adjust: (engine: number, bytes: number) => void) {
    this.engine = engine;
    this.adjust = adjust;
  }

  /** Of this thread; undefined where the engine is another than the one this is known of: its count stays as it is. */
  static open(koffi: Koffi, platform: keyof typeof ADJUST): EngineAccount | undefined {
    // Later ones end the process when their count would fall below zero.
    if (!process.versions.v8.startsWith('11.3.')) return undefined;
    try {
      const library = koffi.load(null);
      const current = library.func(CURRENT_ENGINE, 'intptr_t', []) as () => number;
      const adjust = library.func(ADJUST[platform], 'int64_t', ['intptr_t', 'int64_t']);
      const engine = current();
      return engine === 0 ? undefined : new EngineAccount(engine, adjust);
    } catch {
      return undefined;
    }
  }

  /** For a view that is made next. */
  takeOff(lengthBytes: number): void {
    if (lengthBytes > COUNTED_BYTES_MAX) this.adjust(this.engine, COUNTED_BYTES_MAX - lengthBytes);
  }
}
