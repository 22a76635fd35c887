import type * as koffiModule from 'koffi';

type Koffi = typeof koffiModule;
/** Gives the new count. */
type Adjust = (engine: number, bytes: number) => number | bigint;

/** Built by Node.js itself: others change what they build in. Later engines end the process when their count would fall below zero. */
const KNOWN_ENGINE = /^11\.3\.\d+\.\d+-node\.\d+$/;
/** Enough to be told from other counting; small enough not to make the engine collect. */
const PROBE_BYTES = 40_961;
const PROBES = 3;

/** Views of so many bytes and more count as this many: what their objects take in the heap is of that order. */
const COUNTED_BYTES_MAX = 8 * 1024;

/** The engine's own function that is told of memory outside its heap, as its C++ compiler named it. */
const CURRENT_ENGINE = '_ZN2v87Isolate10GetCurrentEv';
const ADJUST = {
  linux: '_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEl',
  darwin: '_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEx',
} as const;

/**
 * The engine counts each ArrayBuffer as memory that collecting it would give back, and collects garbage at once when
 * there are gigabytes of them: milliseconds for each view of a large value, and a collection for every few hundred of
 * 100 KiB. Shared memory is not given back by that, so nearly all of a view is taken off the count before. (Some is left: the
 * engine is to notice views at all. When the store wants its memory back, see core/store-garbage.ts.)
 *
 * It is never put back. The engine looks at how far its count rose above the lowest since it last collected, so that it
 * may fall below zero; and putting back could make it collect within a native call, whose stack it cannot read.
 */
export class EngineAccount {
  private readonly engine: number;
  private readonly adjust: Adjust;

  private constructor(engine: number, adjust: Adjust) {
    this.engine = engine;
    this.adjust = adjust;
  }

  /**
   * Of this thread; undefined where the engine is another than the one this is known of, or does not count as that one
   * does: its count stays as it is, and reading large values costs some milliseconds.
   */
  static open(
    koffi: Koffi,
    platform: keyof typeof ADJUST,
    version = process.versions.v8,
  ): EngineAccount | undefined {
    if (!KNOWN_ENGINE.test(version)) return undefined;
    try {
      const library = koffi.load(null);
      const current = library.func(CURRENT_ENGINE, 'intptr_t', []) as () => number;
      const adjust = library.func(ADJUST[platform], 'int64_t', ['intptr_t', 'int64_t']) as Adjust;
      const engine = current();
      return engine !== 0 && counts(engine, adjust) ? new EngineAccount(engine, adjust) : undefined;
    } catch {
      return undefined;
    }
  }

  /** For a view that is made next. */
  takeOff(lengthBytes: number): void {
    if (lengthBytes > COUNTED_BYTES_MAX) this.adjust(this.engine, COUNTED_BYTES_MAX - lengthBytes);
  }
}

/** Whether the count grows by what an ArrayBuffer has; a collection that ends meanwhile may disturb one look. */
function counts(engine: number, adjust: Adjust): boolean {
  for (let probe = 0; probe < PROBES; probe++) {
    const before = Number(adjust(engine, 0));
    const buffer = new ArrayBuffer(PROBE_BYTES);
    if (Number(adjust(engine, 0)) - before === buffer.byteLength) return true;
  }
  return false;
}
