import { fileSpillStorage, type SpillStorage } from '../objects/spill-storage.ts';

export interface FailingSpillStorageOptions {
  /** Of the operations, which fail at random. Default 0. */
  share?: number;
  /** Paths whose file system is full. Default: none. */
  full?: (path: string) => boolean;
}

/** A disk with faults; what does not fail happens on the real one. */
export class FailingSpillStorage implements SpillStorage {
  full: (path: string) => boolean;
  failures = 0;
  private readonly share: number;

  constructor({ share = 0, full = () => false }: FailingSpillStorageOptions) {
    this.share = share;
    this.full = full;
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

  private fail(code: string, text: string): never {
    this.failures += 1;
    throw Object.assign(new Error(`${code}: ${text}`), { code });
  }
}
