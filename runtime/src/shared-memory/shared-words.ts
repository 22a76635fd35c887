import { readSync, writeSync } from 'node:fs';
import type { MappingKind, NativeMemory } from './native-memory.ts';

/** Int32 words of a file that several processes look at. */
export interface SharedWords {
  readonly length: number;
  load(index: number): number;
  store(index: number, value: number): void;
  /** Many words at once, each at least as new as the call. */
  loadMany(index: number, count: number): Int32Array;
  close(): void;
}

/** Loads and stores are sequentially consistent, which the pins need: store a pin, then load the generation. */
export class MappedWords implements SharedWords {
  readonly length: number;
  private readonly words: Int32Array;
  private readonly memory: NativeMemory;
  private readonly address: number;

  constructor(
    memory: NativeMemory,
    fd: number,
    length: number,
    kind: Exclude<MappingKind, 'private'>,
  ) {
    this.memory = memory;
    this.length = length;
    this.address = memory.map(fd, 0, length * 4, kind);
    this.words = new Int32Array(memory.view(this.address, length * 4));
  }

  load(index: number): number {
    return Atomics.load(this.words, index);
  }

  store(index: number, value: number): void {
    Atomics.store(this.words, index, value);
  }

  add(index: number, value: number): void {
    Atomics.add(this.words, index, value);
  }

  loadMany(index: number, count: number): Int32Array {
    return this.words.subarray(index, index + count);
  }

  close(): void {
    this.memory.unmap(this.address, this.length * 4);
  }
}

/** The same through the file's descriptor, which whoever opened it closes. */
export class FileWords implements SharedWords {
  readonly length: number;
  private readonly fd: number;
  private readonly word = new Int32Array(1);

  constructor(fd: number, length: number) {
    this.fd = fd;
    this.length = length;
  }

  load(index: number): number {
    const bytesRead = readSync(this.fd, this.word, 0, 4, index * 4);
    return bytesRead === 4 ? (this.word[0] as number) : 0;
  }

  store(index: number, value: number): void {
    this.word[0] = value;
    writeSync(this.fd, this.word, 0, 4, index * 4);
  }

  loadMany(index: number, count: number): Int32Array {
    const words = new Int32Array(count);
    readSync(this.fd, words, 0, count * 4, index * 4);
    return words;
  }

  close(): void {
    // Nothing but the descriptor is held.
  }
}
