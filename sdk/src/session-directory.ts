import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { socketPathBytesMax } from '@manta/runtime/channel/socket-path';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';

const LONGEST_SOCKET = '1234567-01234567/node/sockets/0123456789abcdef.sock';

/** Of all sessions of this user. macOS has directories for temporary files whose names leave no room for a socket's. */
export function sessionRoot(): string {
  const name = `manta-${userInfo().uid}`;
  const root = join(tmpdir(), name);
  const fits = Buffer.byteLength(join(root, LONGEST_SOCKET)) <= socketPathBytesMax();
  return fits ? root : join('/tmp', name);
}

/**
 * A new directory for the sockets and files of one private cluster. Its name starts with the process id of its user,
 * so that what a killed one left can be found and removed.
 * @throws ClusterUnavailableError when others could reach into it.
 */
export async function createSessionDirectory(): Promise<string> {
  const root = sessionRoot();
  const directory = join(root, `${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await assertOwn(root);
  return directory;
}

/** In a directory for everybody, somebody else may have been there first. */
async function assertOwn(directory: string): Promise<void> {
  const found = await lstat(directory);
  if (found.isDirectory() && found.uid === userInfo().uid && (found.mode & 0o077) === 0) return;
  throw new ClusterUnavailableError(
    `${directory} is not a directory that only this user can use: remove it, or set TMPDIR to another place.`,
  );
}

/** Removes what sessions of dead processes left behind. */
export async function removeDeadSessions(): Promise<void> {
  const root = sessionRoot();
  const names = await readdir(root).catch(() => []);
  for (const name of names) {
    const pid = Number(name.split('-')[0]);
    if (Number.isInteger(pid) && pid > 0 && !isAlive(pid))
      await rm(join(root, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
