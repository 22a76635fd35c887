import { formatBytes } from '@manta/runtime/state/format-bytes';

/** Of the file system that a directory is on. */
export interface DiskSpace {
  /** What this user may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Ray goes as far as 95 %. */
const FREE_SHARE = 0.05;
/** The head's tables and log files may be on the same disk. */
const FREE_BYTES = 1024 ** 3;
/** Of a disk on which that would be too much. */
const FREE_SHARE_MAX = 0.1;

/** What spilling leaves free on a disk: a twentieth, and 1 GiB at least unless that is more than a tenth. */
export function spillFreeBytesMin(totalBytes: number): number {
  return Math.max(FREE_SHARE * totalBytes, Math.min(FREE_BYTES, FREE_SHARE_MAX * totalBytes));
}

/** Before the disk itself says so, and with the code that it would say it with. */
export class LowSpaceError extends Error {
  readonly code = 'ENOSPC';

  constructor(space: DiskSpace, freeBytesMin: number) {
    const [free, total, least] = [space.freeBytes, space.totalBytes, freeBytesMin].map(formatBytes);
    super(`ENOSPC: ${free} of ${total} are free, and ${least} are left free for others`);
    this.name = 'LowSpaceError';
  }
}
