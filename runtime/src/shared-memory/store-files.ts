import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  writeSync,
} from 'node:fs';
import { MantaError } from '../errors/errors.ts';
import type { NativeMemory } from './native-memory.ts';
import { FileWords, MappedWords, type SharedWords } from './shared-words.ts';
import { STORE_VERSION } from './store-layout.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR } = constants;
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const zeros = new Uint8Array(1024 * 1024);

export const codeOf = (error: unknown): string | undefined =>
  (error as NodeJS.ErrnoException | undefined)?.code;

/** Systems without users have nobody else either. */
const isOurs = (uid: number): boolean => uid === (process.geteuid?.() ?? uid);

/** A new file that only this user can open; fails when the name is taken, by a link too. */
export const createPrivateFile = (path: string): number =>
  openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, 0o600);

/** Undefined when there is no such file. @throws MantaError when it is another user's, or not a file. */
export function openPrivateFile(path: string, mode: 'read' | 'write'): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, (mode === 'read' ? O_RDONLY : O_RDWR) | O_NOFOLLOW);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const stats = fstatSync(fd);
  if (stats.isFile() && isOurs(stats.uid)) return fd;
  closeSync(fd);
  throw new MantaError(`${path} is not a file of this user.`);
}

/** @throws MantaError unless the directory is this user's alone. */
export function checkPrivateDirectory(directory: string): void {
  const stats = lstatSync(directory);
  if (stats.isDirectory() && (stats.mode & 0o077) === 0 && isOurs(stats.uid)) return;
  throw new MantaError(`${directory} is not a directory that only this user can enter.`);
}

/**
 * Lengthens the file by pages that exist: writing to a mapping of a file with holes would kill the process when the
 * file system is full. That holds for files of processes without mappings too, since others may adopt and map them. False: no space; the file is then as long as before.
 */
export function lengthenFile(
  fd: number,
  from: number,
  to: number,
  memory: NativeMemory | undefined,
): boolean {
  const outcome = memory?.reserve(fd, from, to - from) ?? 'unsupported';
  if (outcome === 'reserved' || (outcome === 'unsupported' && writeZeros(fd, from, to)))
    return true;
  ftruncateSync(fd, from);
  return false;
}

function writeZeros(fd: number, from: number, to: number): boolean {
  try {
    for (let offset = from; offset < to;)
      offset += writeSync(fd, zeros, 0, Math.min(zeros.length, to - offset), offset);
    return true;
  } catch (error) {
    if (NO_SPACE.has(codeOf(error) ?? '')) return false;
    throw error;
  }
}

/** Names in a directory; none when it is gone. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The words at the start of a file, mapped where memory can be. Takes over the descriptor. */
export class WordFile {
  readonly words: SharedWords;
  private fd: number | undefined;

  constructor(
    fd: number,
    length: number,
    memory: NativeMemory | undefined,
    mode: 'read' | 'write',
  ) {
    let isTaken = false;
    try {
      // Touching a mapping beyond the end of its file would kill the process.
      if (fstatSync(fd).size < length * 4)
        throw new MantaError('A file of the object store is shorter than it should be.');
      isTaken = memory === undefined;
      this.words =
        memory === undefined
          ? new FileWords(fd, length)
          : new MappedWords(memory, fd, length, mode === 'read' ? 'readOnly' : 'shared');
      if (isTaken) this.fd = fd;
    } finally {
      if (!isTaken) closeSync(fd);
    }
  }

  /** @throws MantaError unless the file begins as files of this kind and version do. */
  check(magic: number, what: string): void {
    if (this.words.load(0) === magic && this.words.load(1) === STORE_VERSION) return;
    this.close();
    throw new MantaError(`${what} was not made by this version of Manta.`);
  }

  close(): void {
    this.words.close();
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

/** Length of the file in whole words. */
export const wordsInFile = (fd: number): number => Math.floor(fstatSync(fd).size / 4);
