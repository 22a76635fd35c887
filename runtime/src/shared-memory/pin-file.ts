import { closeSync, fstatSync, unlinkSync } from 'node:fs';
import { MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';
import type { NativeMemory } from './native-memory.ts';
import {
  createPrivateFile,
  lengthenFile,
  openPrivateFile,
  WordFile,
  wordsInFile,
} from './store-files.ts';
import { PINS, pinsPath, SLOT_PAGE_BYTES, STORE_VERSION } from './store-layout.ts';

/** What this process pins, and how many pages its segment files have. */
export class PinFile {
  private readonly path: string;
  private readonly memory: NativeMemory | undefined;
  private file: WordFile;
  private readonly free: number[] = [];
  private fileBytes = SLOT_PAGE_BYTES;
  private used = 0;

  /** @throws MantaError when the file system has no room for a single page. */
  constructor(directory: string, processId: ProcessId, memory: NativeMemory | undefined) {
    this.path = pinsPath(directory, processId);
    this.memory = memory;
    const fd = createPrivateFile(this.path);
    if (!lengthenFile(fd, 0, this.fileBytes, memory)) throw noRoom(this.path);
    this.file = new WordFile(fd, this.fileBytes / 4, memory, 'write');
    const { words } = this.file;
    words.store(PINS.capacity, capacityOf(this.fileBytes));
    words.store(1, STORE_VERSION);
    words.store(0, PINS.magic);
  }

  get accountPages(): number {
    return this.file.words.load(PINS.account);
  }

  addToAccount(pages: number): void {
    this.file.words.store(PINS.account, this.accountPages + pages);
  }

  /** From now on nobody reuses the slot, provided that its generation is still the wanted one afterwards. */
  pin(segmentId: number, page: number): number {
    const index = this.free.pop() ?? this.nextIndex();
    const { words } = this.file;
    words.store(index + 1, page + 1);
    words.store(index, segmentId);
    return index;
  }

  unpin(index: number): void {
    this.file.words.store(index, 0);
    this.free.push(index);
  }

  /** No pin holds any longer. */
  close(): void {
    this.file.words.store(PINS.capacity, 0);
    this.file.close();
  }

  private nextIndex(): number {
    if (this.used === capacityOf(this.fileBytes)) this.grow();
    const index = PINS.headerWords + 2 * this.used++;
    // Before anything is pinned there: who looks for pins reads no further.
    this.file.words.store(PINS.used, this.used);
    return index;
  }

  private grow(): void {
    const fd = openPrivateFile(this.path, 'write');
    if (fd === undefined || fstatSync(fd).size !== this.fileBytes)
      throw new MantaError(`${this.path} was changed by another process.`);
    const grownBytes = this.fileBytes * 2;
    if (!lengthenFile(fd, this.fileBytes, grownBytes, this.memory)) throw noRoom(this.path);
    const grown = new WordFile(fd, grownBytes / 4, this.memory, 'write');
    this.file.close();
    this.file = grown;
    this.fileBytes = grownBytes;
    grown.words.store(PINS.capacity, capacityOf(grownBytes));
  }
}

/** The pin file of any process, to look at. */
export class ForeignPinFile {
  private readonly path: string;
  private readonly memory: NativeMemory | undefined;
  private file: WordFile;

  private constructor(path: string, memory: NativeMemory | undefined, file: WordFile) {
    this.path = path;
    this.memory = memory;
    this.file = file;
  }

  /** Undefined when there is none, or it is only being made: then nothing is pinned by it yet. */
  static open(path: string, memory: NativeMemory | undefined): ForeignPinFile | undefined {
    const file = openWords(path, memory);
    return file === undefined ? undefined : new ForeignPinFile(path, memory, file);
  }

  /** Of a dead process: its pins end for everybody at once. */
  static remove(path: string, memory: NativeMemory | undefined): void {
    const fd = openPrivateFile(path, 'write');
    if (fd === undefined) return;
    unlinkSync(path);
    if (wordsInFile(fd) <= PINS.headerWords) return closeSync(fd);
    const file = new WordFile(fd, PINS.headerWords, memory, 'write');
    file.words.store(PINS.capacity, 0);
    file.words.store(PINS.account, 0);
    file.close();
  }

  get accountPages(): number {
    return this.file.words.load(PINS.account);
  }

  /** False: its process ended. */
  forEachPin(callback: (segmentId: number, page: number) => void): boolean {
    const capacity = this.file.words.load(PINS.capacity);
    if (capacity === 0) return false;
    const used = this.file.words.load(PINS.used);
    if (used === 0) return true;
    const wordCount = PINS.headerWords + 2 * Math.min(used, capacity);
    if (wordCount > this.file.words.length && !this.reopen(wordCount)) return false;
    const words = this.file.words.loadMany(0, wordCount);
    for (let index: number = PINS.headerWords; index < wordCount; index += 2) {
      const segmentId = Atomics.load(words, index);
      if (segmentId !== 0) callback(segmentId, Atomics.load(words, index + 1) - 1);
    }
    return true;
  }

  close(): void {
    this.file.close();
  }

  private reopen(wordCount: number): boolean {
    const file = openWords(this.path, this.memory);
    if (file === undefined) return false;
    this.file.close();
    this.file = file;
    if (wordCount > file.words.length)
      throw new MantaError(`${this.path} is shorter than it says.`);
    return true;
  }
}

const capacityOf = (fileBytes: number): number => (fileBytes / 4 - PINS.headerWords) / 2;

const noRoom = (path: string): MantaError =>
  new MantaError(`No space for ${path}: the file system of the object store is full.`);

function openWords(path: string, memory: NativeMemory | undefined): WordFile | undefined {
  const fd = openPrivateFile(path, 'read');
  if (fd === undefined) return undefined;
  const length = wordsInFile(fd);
  if (length <= PINS.headerWords) {
    closeSync(fd);
    return undefined;
  }
  const file = new WordFile(fd, length, memory, 'read');
  if (file.words.load(0) === PINS.magic) return file;
  file.close();
  return undefined;
}
