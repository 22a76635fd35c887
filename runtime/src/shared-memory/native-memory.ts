import { createRequire } from 'node:module';
import { markAsUntransferable } from 'node:worker_threads';
import type * as koffiModule from 'koffi';
import { MantaError } from '../errors/errors.ts';
import { EngineAccount } from './engine-account.ts';
import { SLOT_PAGE_BYTES } from './store-layout.ts';

export type MappingKind =
  /** Reads and writes the file itself. */
  | 'shared'
  /** Shows the file; cannot be written. */
  | 'readOnly'
  /** Shows the file; pages that are written become copies of one's own. */
  | 'private';

/** The memory calls of the operating system. Addresses are plain numbers: user space ends far below 2^53. */
export interface NativeMemory {
  /** @throws MantaError when the kernel refuses. */
  map(fd: number, offset: number, lengthBytes: number, kind: MappingKind): number;
  unmap(address: number, lengthBytes: number): void;
  /** An ArrayBuffer over exactly that memory, which must stay mapped for as long as anyone holds it. */
  view(address: number, lengthBytes: number): ArrayBuffer;
  /**
   * How a private mapping is made to show the file as it is: 'advice', needed only where pages were written; 'remap',
   * where the system may show the file as it was when it was mapped.
   */
  readonly renewal: 'advice' | 'remap';
  renew(mapping: PrivateMapping, offset: number, lengthBytes: number): void;
  /** False: `reserve` is never supported here. */
  readonly canReserve: boolean;
  /** Gives the file its pages now; 'unsupported': write zeros instead. */
  reserve(fd: number, offset: number, lengthBytes: number): 'reserved' | 'noSpace' | 'unsupported';
  /**
   * Bytes that are about to be copied. Memory that was never touched since the system gave it is all zeros, and is mapped
   * page by page as it is read, which takes longer than the copy: this maps all of it.
   */
  willCopy(bytes: Uint8Array): void;
  /** Brings pages of a shared mapping into memory: several times as fast as writing there. False: this kernel cannot. */
  populateNow(address: number, lengthBytes: number): boolean;
  /** The same on another thread. */
  populate(address: number, lengthBytes: number, done: (isDone: boolean) => void): void;
}

export interface PrivateMapping {
  /** Stays open where `renewal` is 'remap'. */
  fd: number;
  /** Where the mapping starts in the file. */
  fileOffset: number;
  address: number;
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MADV_DONTNEED = 4;
/** Linux 5.14: allocates and maps, and fails where touching would raise SIGBUS. */
const MADV_POPULATE_WRITE = 23;

/** Linux 5.14: maps what is there, zeros where nothing is. */
const MADV_POPULATE_READ = 22;
/** Large pages, where the system leaves them to programs: as they are asked for by NumPy for every large array. */
const MADV_HUGEPAGE = 14;
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;
/** For less the calls cost more than they save. */
const FRESH_BYTES_MIN = 1024 * 1024;
/** Pages that are looked at to tell whether memory was touched. */
const FRESH_SAMPLES = 4;

const CONSTANTS = {
  linux: { anonymous: 0x20, noReserve: 0x4000, pageSizeName: 30 },
  darwin: { anonymous: 0x1000, noReserve: 0x40, pageSizeName: 29 },
} as const;

type SystemName = keyof typeof CONSTANTS;

interface Abilities {
  renewal: NativeMemory['renewal'];
  canReserve: boolean;
  canPopulate: boolean;
}
const ABILITIES: Record<SystemName, Abilities> = {
  linux: { renewal: 'advice', canReserve: true, canPopulate: true },
  darwin: { renewal: 'remap', canReserve: false, canPopulate: false },
};

type Koffi = typeof koffiModule;
type NumberFunction = ((...parameters: number[]) => number) & {
  async(...parameters: [...number[], (error: unknown, result: number) => void]): void;
};

const loaded = new Map<SystemName | undefined, NativeMemory | undefined>();

/**
 * Undefined where `koffi` is not installed or does not work, on systems whose pages are larger than our slots, and with
 * MANTA_STORE_ACCESS=copied in the environment.
 * @param asOn does without what that system lacks, for tests of it on another one. Default: this system.
 */
export function nativeMemory(asOn?: SystemName): NativeMemory | undefined {
  if (!loaded.has(asOn)) loaded.set(asOn, load(asOn));
  return loaded.get(asOn);
}

function load(asOn: SystemName | undefined): NativeMemory | undefined {
  const { platform } = process;
  if (platform !== 'linux' && platform !== 'darwin') return undefined;
  if (process.env['MANTA_STORE_ACCESS'] === 'copied') return undefined;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const memory = new KoffiMemory(koffi, platform, ABILITIES[asOn ?? platform]);
    return memory.isUsable() ? memory : undefined;
  } catch {
    // An optional dependency, and a system may lack what it is to call: the store then copies through files.
    return undefined;
  }
}

class KoffiMemory implements NativeMemory {
  readonly canReserve: boolean;
  readonly renewal: 'advice' | 'remap';
  private readonly koffi: Koffi;
  private readonly platform: SystemName;
  private readonly canPopulate: boolean;
  private readonly mmap: NumberFunction;
  private readonly munmap: NumberFunction;
  private readonly madvise: NumberFunction;
  private readonly fallocate: NumberFunction | undefined;
  private readonly mincore: ((...parameters: [number, number, Uint8Array]) => number) | undefined;
  private readonly sysconf: NumberFunction;
  private readonly account: EngineAccount | undefined;

  constructor(koffi: Koffi, platform: SystemName, abilities: Abilities) {
    this.koffi = koffi;
    this.platform = platform;
    this.canReserve = abilities.canReserve;
    this.canPopulate = abilities.canPopulate;
    this.renewal = abilities.renewal;
    const library = koffi.load(null);
    this.mmap = library.func('mmap', 'intptr_t', [
      'size_t',
      'size_t',
      'int',
      'int',
      'int',
      'int64_t',
    ]) as NumberFunction;
    this.munmap = library.func('munmap', 'int', ['size_t', 'size_t']) as NumberFunction;
    this.madvise = library.func('madvise', 'int', ['size_t', 'size_t', 'int']) as NumberFunction;
    this.sysconf = library.func('sysconf', 'long', ['int']) as NumberFunction;
    this.account = EngineAccount.open(koffi, platform);
    if (this.canPopulate)
      this.mincore = library.func('mincore', 'int', ['size_t', 'size_t', 'void *']);
    if (this.canReserve) {
      this.fallocate = library.func('posix_fallocate', 'int', [
        'int',
        'int64_t',
        'int64_t',
      ]) as NumberFunction;
    }
  }

  /** Page size, and whether views really show the memory: a sandboxed engine hands out copies. */
  isUsable(): boolean {
    const { anonymous, pageSizeName } = CONSTANTS[this.platform];
    const pageBytes = this.sysconf(pageSizeName);
    if (pageBytes <= 0 || SLOT_PAGE_BYTES % pageBytes !== 0) return false;
    const address = this.mmap(0, pageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | anonymous, -1, 0);
    if (address === -1) return false;
    const [first, second] = [0, 1].map(() => new Uint8Array(this.koffi.view(address, pageBytes)));
    if (first !== undefined) first[0] = 1;
    const isShown = second?.[0] === 1;
    this.munmap(address, pageBytes);
    return isShown;
  }

  map(fd: number, offset: number, lengthBytes: number, kind: MappingKind): number {
    const protection = kind === 'readOnly' ? PROT_READ : PROT_READ | PROT_WRITE;
    return this.checked(this.mmap(0, lengthBytes, protection, this.flags(kind), fd, offset));
  }

  unmap(address: number, lengthBytes: number): void {
    this.munmap(address, lengthBytes);
  }

  view(address: number, lengthBytes: number): ArrayBuffer {
    // Before: the engine looks at its count as it adds to it.
    this.account?.takeOff(lengthBytes);
    const buffer = this.koffi.view(address, lengthBytes);
    markAsUntransferable(buffer);
    return buffer;
  }

  renew({ fd, fileOffset, address }: PrivateMapping, offset: number, lengthBytes: number): void {
    const start = address + offset;
    if (this.renewal === 'advice') {
      if (this.madvise(start, lengthBytes, MADV_DONTNEED) === 0) return;
      throw new MantaError(`madvise failed with errno ${this.koffi.errno()}.`);
    }
    const flags = this.flags('private') | MAP_FIXED;
    const protection = PROT_READ | PROT_WRITE;
    this.checked(this.mmap(start, lengthBytes, protection, flags, fd, fileOffset + offset));
  }

  reserve(fd: number, offset: number, lengthBytes: number): 'reserved' | 'noSpace' | 'unsupported' {
    if (this.fallocate === undefined) return 'unsupported';
    const code = this.fallocate(fd, offset, lengthBytes);
    if (code === 0) return 'reserved';
    const { ENOSPC, EDQUOT, EFBIG } = this.koffi.os.errno;
    return code === ENOSPC || code === EDQUOT || code === EFBIG ? 'noSpace' : 'unsupported';
  }

  willCopy(bytes: Uint8Array): void {
    if (bytes.byteLength < FRESH_BYTES_MIN || this.mincore === undefined) return;
    const address = Number(this.koffi.address(bytes));
    const start = Math.ceil(address / SLOT_PAGE_BYTES);
    const pages = Math.floor((address + bytes.byteLength) / SLOT_PAGE_BYTES) - start;
    const residency = new Uint8Array(1);
    for (let sample = 0; sample < FRESH_SAMPLES; sample++) {
      const page = start + Math.floor((pages * sample) / FRESH_SAMPLES);
      if (this.mincore(page * SLOT_PAGE_BYTES, 1, residency) !== 0 || residency[0] !== 0) return;
    }
    // Where the kernel refuses, the pages come one by one.
    const hugeStart = Math.ceil(address / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
    const hugeBytes = address + bytes.byteLength - hugeStart;
    if (hugeBytes >= HUGE_PAGE_BYTES)
      this.madvise(hugeStart, hugeBytes - (hugeBytes % HUGE_PAGE_BYTES), MADV_HUGEPAGE);
    this.madvise(start * SLOT_PAGE_BYTES, pages * SLOT_PAGE_BYTES, MADV_POPULATE_READ);
  }

  populateNow(address: number, lengthBytes: number): boolean {
    return this.canPopulate && this.madvise(address, lengthBytes, MADV_POPULATE_WRITE) === 0;
  }

  populate(address: number, lengthBytes: number, done: (isDone: boolean) => void): void {
    if (!this.canPopulate) return done(false);
    this.madvise.async(address, lengthBytes, MADV_POPULATE_WRITE, (error, result) =>
      done(error == null && result === 0),
    );
  }

  private flags(kind: MappingKind): number {
    // Not counted against the memory that may be committed: readers hardly ever write.
    return kind === 'private' ? MAP_PRIVATE | CONSTANTS[this.platform].noReserve : MAP_SHARED;
  }

  private checked(address: number): number {
    if (address !== -1) return address;
    throw new MantaError(`mmap failed with errno ${this.koffi.errno()}.`);
  }
}
