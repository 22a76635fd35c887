import type * as koffiModule from 'koffi';

type Koffi = typeof koffiModule;

/** Views of so many bytes and more count as this many. */
const COUNTED_BYTES_MAX = 1024 * 1024;
const SETTLE_DELAY_MS = 1_000;

/** The engine's own function that is told of memory outside its heap, as its C++ compiler named it. */
const CURRENT_ENGINE = '_ZN2v87Isolate10GetCurrentEv';
const ADJUST = {
  linux: '_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEl',
  darwin: '_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEx',
} as const;

/**
 * The engine counts each ArrayBuffer as memory that collecting it would give back, and collects garbage at once when
 * there are gigabytes of them: milliseconds for each view of a large value. Shared memory is not given back by that, so
 * what views have beyond a mebibyte is taken off its count. (Some is left: the engine is to notice views at all.)
 */
export class EngineAccount {
  private readonly engine: number;
  private readonly adjust: (engine: number, bytes: number) => void;
  /** Taken off for views that were collected meanwhile. */
  private spareBytes = 0;
  private isSettling = false;
  private readonly collected = new FinalizationRegistry<number>((bytes) => this.settle(bytes));

  private constructor(engine: number, adjust: (engine: number, bytes: number) => void) {
    this.engine = engine;
    this.adjust = adjust;
  }

  /** Of this thread; undefined where the engine has no such function: its count stays as it is. */
  static open(koffi: Koffi, platform: keyof typeof ADJUST): EngineAccount | undefined {
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
    const bytes = lengthBytes - COUNTED_BYTES_MAX;
    if (bytes <= 0) return;
    if (this.spareBytes >= bytes) {
      this.spareBytes -= bytes;
      return;
    }
    this.adjust(this.engine, this.spareBytes - bytes);
    this.spareBytes = 0;
  }

  /** The view that bytes were taken off for: they are put back when it is collected. */
  made(view: ArrayBuffer): void {
    const bytes = view.byteLength - COUNTED_BYTES_MAX;
    if (bytes > 0) this.collected.register(view, bytes);
  }

  /** Not at once: the engine's count falls a little after the finalizers ran. */
  private settle(bytes: number): void {
    this.spareBytes += bytes;
    if (this.isSettling) return;
    this.isSettling = true;
    setTimeout(() => {
      this.isSettling = false;
      this.adjust(this.engine, this.spareBytes);
      this.spareBytes = 0;
    }, SETTLE_DELAY_MS).unref();
  }
}
