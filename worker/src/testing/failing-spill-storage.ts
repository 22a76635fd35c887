import type { DiskSpace } from '../objects/spill-space.ts';
import { fileSpillStorage, type SpillStorage } from '../objects/spill-storage.ts';

export interface FailingSpillStorageOptions {
  /** Of the operations, which fail at random. Default 0. */
  share?: number;
  /** Paths whose file system is full. Default: none. */
  full?: (path: string) => boolean;
  /** Of the disk that a directory is on. Default: it does not tell. */
  spaceOf?: (directory: string) => DiskSpace | undefined;
}

/** A disk with faults; what does not fail happens on the real one. */
export class FailingSpillStorage implements SpillStorage {
  full: (path: string) => boolean;
  spaceOf: (directory: string) => DiskSpace | undefined;
  failures = 0;
  private readonly share: number;

  constructor(options: FailingSpillStorageOptions = {}) {
    const { share = 0, full = () => false, spaceOf = () => undefined } = options;
    this.share = share;
    this.full = full;
    this.spaceOf = spaceOf;
  }

  async write(path: string, offset: number, bytes: Uint8Array): Promise<void> {
    if (this.full(path)) this.fail('ENOSPC', `no space left on device, write '${path}'`);
    // As disks do: a part of it may have been written.
    if (Math.random() < this.share) {
      await fileSpillStorage.write(path, offset, bytes.subarray(0, bytes.byteLength >> 1));
      this.fail('EIO', `input/output error, write '${path}'`);
    }
    await fileSpillStorage.write(path, offset, bytes);
  }

  async read(path: string, offset: number, target: Uint8Array): Promise<void> {
    if (Math.random() < this.share) this.fail('EIO', `input/output error, read '${path}'`);
    await fileSpillStorage.read(path, offset, target);
  }

  async remove(path: string): Promise<void> {
    if (Math.random() < this.share) this.fail('EIO', `input/output error, unlink '${path}'`);
    await fileSpillStorage.remove(path);
  }

  space(directory: string): Promise<DiskSpace | undefined> {
    return Promise.resolve(this.spaceOf(directory));
  }

  private fail(code: string, text: string): never {
    this.failures += 1;
    throw Object.assign(new Error(`${code}: ${text}`), { code });
  }
}
