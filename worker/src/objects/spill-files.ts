import { ChunkChecksum } from '@manta/runtime/objects/chunk-checksum';
import { SpillFailedError, isFull, type SpillFailure } from './spill-errors.ts';
import { LowSpaceError, spillFreeBytesMin } from './spill-space.ts';
import type { SpillStorage } from './spill-storage.ts';

/** Where the bytes of a blob lie on disk. */
export interface SpillLocation {
  readonly path: string;
  readonly offset: number;
  readonly sizeBytes: number;
  /** Of its pieces, as they were written. */
  readonly checksums: readonly number[];
}

/** Reads a part of what is to be written; false: it is gone, so this source is left out. */
export interface SpillSource {
  readonly sizeBytes: number;
  copyOut(offset: number, target: Uint8Array): Promise<boolean>;
}

export interface SpillFilesOptions {
  storage: SpillStorage;
  /** Used in turn; when one fails, the next takes its place. */
  directories: readonly string[];
  /** What is left free on their disks. Default: `spillFreeBytesMin` of their size. */
  freeBytesMin?: number | undefined;
  onWritten?(bytes: number): void;
  /** Told of every attempt that failed; of a full disk once, until something was written there again. */
  onFailure?(failure: SpillFailure): void;
  /** Something was written to a disk that was full. */
  onRoom?(directory: string): void;
}

/** Bytes copied out, checksummed and written at a time: what the event loop is kept from at once. */
const CHUNK_BYTES = 4 * 1024 * 1024;
/** Each piece has its own checksum, so that a part can be checked alone; as long as what a pull asks for at a time. */
const PIECE_BYTES = 1024 * 1024;
/** A file gets no further blob once it is this large (Ray: min_spilling_size). */
const FILE_BYTES = 100 * 1024 * 1024;
const FILE_BLOBS = 2_000;
/** One operation on the disk is tried so often; a full disk is not asked again. */
const ATTEMPTS = 20;
/** Bytes that are not what was written are asked for so often before they count as damaged. */
const READS = 2;

/**
 * Blobs on disk, many to a file. A file goes when the last of its blobs is freed. What the disk gives back is compared
 * with checksums taken when it was written.
 */
export class SpillFiles {
  readonly #options: SpillFilesOptions;
  /** Blobs in use per file. A file that is being written counts one more. */
  readonly #users = new Map<string, number>();
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** One batch at a time: there is one buffer. */
  #lastWrite: Promise<unknown> = Promise.resolve();
  readonly #full = new Set<string>();
  #nextDirectory = 0;
  #nextFile = 1;
  #bytes = 0;

  constructor(options: SpillFilesOptions) {
    this.#options = options;
  }

  /** Of blobs, on disk now. */
  get spilledBytes(): number {
    return this.#bytes;
  }

  get fileCount(): number {
    return this.#users.size;
  }

  /** Groups of sources that go into one file each; a blob that is larger than a file gets one alone. */
  static batches<S extends { readonly sizeBytes: number }>(sources: readonly S[]): S[][] {
    const batches: S[][] = [];
    let bytes = Infinity;
    for (const source of sources) {
      const batch = batches.at(-1);
      if (
        batch === undefined ||
        bytes + source.sizeBytes > FILE_BYTES ||
        batch.length >= FILE_BLOBS
      ) {
        batches.push([source]);
        bytes = source.sizeBytes;
      } else {
        batch.push(source);
        bytes += source.sizeBytes;
      }
    }
    return batches;
  }

  /**
   * Writes the sources into one file; undefined stands for a source that was gone.
   * @throws SpillFailedError when no directory takes them; then nothing of it is left on disk.
   */
  write(sources: readonly SpillSource[]): Promise<(SpillLocation | undefined)[]> {
    const written = this.#lastWrite.then(() => this.#write(sources));
    this.#lastWrite = written.catch(() => undefined); // Told to who asked.
    return written;
  }

  async #write(sources: readonly SpillSource[]): Promise<(SpillLocation | undefined)[]> {
    const failures: SpillFailure[] = [];
    const { directories } = this.#options;
    for (let tried = 0; tried < directories.length; tried += 1) {
      const directory = directories[this.#nextDirectory % directories.length] as string;
      this.#nextDirectory += 1;
      try {
        await this.#checkSpace(directory, sources);
        const locations = await this.#writeTo(directory, sources);
        if (this.#full.delete(directory)) this.#options.onRoom?.(directory);
        return locations;
      } catch (error) {
        const failure = { directory, full: isFull(error), error };
        failures.push(failure);
        if (!failure.full || !this.#full.has(directory)) this.#options.onFailure?.(failure);
        if (failure.full) this.#full.add(directory);
      }
    }
    throw new SpillFailedError(failures);
  }

  /** @throws LowSpaceError when they would take what is to stay free. */
  async #checkSpace(directory: string, sources: readonly SpillSource[]): Promise<void> {
    const { storage, freeBytesMin } = this.#options;
    const space = await storage.space(directory);
    if (space === undefined) return;
    const leastBytes = freeBytesMin ?? spillFreeBytesMin(space.totalBytes);
    let bytes = 0;
    for (const { sizeBytes } of sources) bytes += sizeBytes;
    if (space.freeBytes - bytes < leastBytes) throw new LowSpaceError(space, leastBytes);
  }

  async #writeTo(
    directory: string,
    sources: readonly SpillSource[],
  ): Promise<(SpillLocation | undefined)[]> {
    const path = `${directory}/spill-${this.#nextFile++}`;
    this.#users.set(path, 1);
    const locations: (SpillLocation | undefined)[] = [];
    let offset = 0;
    try {
      for (const source of sources) {
        const checksums = await this.#writeOne(path, offset, source);
        if (checksums === undefined) {
          locations.push(undefined);
          continue;
        }
        const { sizeBytes } = source;
        locations.push({ path, offset, sizeBytes, checksums });
        offset += sizeBytes;
        this.#bytes += sizeBytes;
        this.#users.set(path, (this.#users.get(path) ?? 0) + 1);
      }
    } catch (error) {
      for (const location of locations) if (location !== undefined) await this.free(location);
      await this.#leave(path);
      throw error;
    }
    await this.#leave(path);
    this.#options.onWritten?.(offset);
    return locations;
  }

  /** Undefined: it is gone. */
  async #writeOne(path: string, start: number, source: SpillSource): Promise<number[] | undefined> {
    const checksums: number[] = [];
    for (let offset = 0; offset < source.sizeBytes; offset += CHUNK_BYTES) {
      const chunk = this.#buffer.subarray(0, Math.min(CHUNK_BYTES, source.sizeBytes - offset));
      if (!(await source.copyOut(offset, chunk))) return undefined;
      checksums.push(...checksumsOf(chunk));
      await this.#attempt(() => this.#options.storage.write(path, start + offset, chunk));
    }
    return checksums;
  }

  /**
   * Gives the bytes in order, in chunks.
   * @throws SpillFailedError when they cannot be read, or are not what was written.
   */
  async read(
    location: SpillLocation,
    take: (offset: number, bytes: Uint8Array) => void,
  ): Promise<void> {
    const { sizeBytes } = location;
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, sizeBytes));
    for (let offset = 0; offset < sizeBytes; offset += CHUNK_BYTES) {
      const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, sizeBytes - offset));
      await this.#readPieces(location, offset, chunk);
      take(offset, chunk);
    }
  }

  /**
   * Fills `target` from there on.
   * @throws SpillFailedError as `read` does.
   */
  async readPart(location: SpillLocation, offset: number, target: Uint8Array): Promise<void> {
    const end = offset + target.byteLength;
    const piecesStart = offset - (offset % PIECE_BYTES);
    const piecesEnd = Math.min(Math.ceil(end / PIECE_BYTES) * PIECE_BYTES, location.sizeBytes);
    if (offset === piecesStart && end === piecesEnd) {
      await this.#readPieces(location, offset, target);
      return;
    }
    const pieces = Buffer.allocUnsafeSlow(piecesEnd - piecesStart);
    await this.#readPieces(location, piecesStart, pieces);
    target.set(pieces.subarray(offset - piecesStart, end - piecesStart));
  }

  /** Whole pieces. */
  async #readPieces(location: SpillLocation, offset: number, target: Uint8Array): Promise<void> {
    const { path, checksums } = location;
    const failed = (error: unknown, isDamaged: boolean): SpillFailedError =>
      new SpillFailedError([{ directory: path, full: false, error }], isDamaged);
    const first = offset / PIECE_BYTES;
    let wrong = -1;
    for (let read = 0; read < READS; read += 1) {
      try {
        await this.#attempt(() =>
          this.#options.storage.read(path, location.offset + offset, target),
        );
      } catch (error) {
        throw failed(error, false);
      }
      wrong = checksumsOf(target).findIndex(
        (checksum, index) => checksum !== checksums[first + index],
      );
      if (wrong < 0) return;
    }
    const at = location.offset + offset + wrong * PIECE_BYTES;
    throw failed(new Error(`the bytes from ${at} on do not fit their checksum`), true);
  }

  async free(location: SpillLocation): Promise<void> {
    this.#bytes -= location.sizeBytes;
    await this.#leave(location.path);
  }

  async #leave(path: string): Promise<void> {
    const users = (this.#users.get(path) ?? 1) - 1;
    if (users > 0) {
      this.#users.set(path, users);
      return;
    }
    this.#users.delete(path);
    try {
      await this.#attempt(() => this.#options.storage.remove(path));
    } catch (error) {
      // It goes with its directory at the end of the session.
      this.#options.onFailure?.({ directory: path, full: false, error });
    }
  }

  async #attempt(operation: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await operation();
        return;
      } catch (error) {
        if (attempt === ATTEMPTS || isFull(error)) throw error;
      }
    }
  }
}

function checksumsOf(bytes: Uint8Array): number[] {
  const checksums: number[] = [];
  for (let start = 0; start < bytes.byteLength; start += PIECE_BYTES)
    checksums.push(new ChunkChecksum().update(bytes.subarray(start, start + PIECE_BYTES)).value());
  return checksums;
}
