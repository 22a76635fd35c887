import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DiskSpace } from './spill-space.ts';

/** The disk as spilling needs it. Every method may fail with an error that has an errno `code`. */
export interface SpillStorage {
  /** Writes all of `bytes`; makes the file, and its directory, when there is none. */
  write(path: string, offset: number, bytes: Uint8Array): Promise<void>;
  /** Fills all of `target`; fails when the file is shorter. */
  read(path: string, offset: number, target: Uint8Array): Promise<void>;
  /** A file that is not there is no error. */
  remove(path: string): Promise<void>;
  /** Where the directory is; undefined: the file system does not tell, or the directory is not made yet. */
  space(directory: string): Promise<DiskSpace | undefined>;
}

export const fileSpillStorage: SpillStorage = {
  async write(path, offset, bytes) {
    const file = await open(path, offset === 0 ? 'w' : 'r+', 0o600).catch(
      async (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || offset !== 0) throw error;
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        return open(path, 'w', 0o600);
      },
    );
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const { bytesWritten } = await file.write(
          bytes,
          done,
          bytes.byteLength - done,
          offset + done,
        );
        done += bytesWritten;
      }
    } finally {
      await file.close();
    }
  },

  async read(path, offset, target) {
    const file = await open(path, 'r');
    try {
      for (let done = 0; done < target.byteLength;) {
        const length = target.byteLength - done;
        const { bytesRead } = await file.read(target, done, length, offset + done);
        if (bytesRead === 0) throw new Error(`${path} ends ${length} bytes too early`);
        done += bytesRead;
      }
    } finally {
      await file.close();
    }
  },

  async remove(path) {
    await rm(path, { force: true });
  },

  async space(directory) {
    try {
      const { bavail, blocks, bsize } = await statfs(directory);
      // Some network file systems have no size.
      return blocks === 0 ? undefined : { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },
};
