import { join } from 'node:path';
import { MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';

/** What the system's address of a Unix socket has room for, beside the zero at its end. */
export const socketPathBytesMax = (platform: NodeJS.Platform = process.platform): number =>
  platform === 'linux' ? 107 : 103;

/** Where a process listens for others of its machine. */
export function socketPathOf(socketDirectory: string, processId: ProcessId): string {
  return join(socketDirectory, `${processId.slice(2)}.sock`);
}

/** Node cuts a path that is too long without a word, and nobody would find the socket. @throws MantaError then. */
export function checkSocketPath(path: string, platform?: NodeJS.Platform): void {
  const bytes = Buffer.byteLength(path);
  const bytesMax = socketPathBytesMax(platform);
  if (bytes <= bytesMax) return;
  throw new MantaError(
    `No socket can be made at ${path}: its path has ${bytes} bytes, and this system takes ${bytesMax} at most. ` +
      'Set TMPDIR (private clusters) or MANTA_HOME (`manta start`) to a shorter path.',
  );
}
