import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const FILE_NAME = 'api-key';
const KEY_PATTERN = /^sk-manta-[\w-]{43}$/;

/** Checks `Authorization: Bearer …` in a time that tells nothing about the key. */
export class ApiKey {
  readonly #digest: Buffer;

  constructor(key: string) {
    this.#digest = digestOf(key);
  }

  accepts(authorization: string | undefined): boolean {
    const presented = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';
    return timingSafeEqual(digestOf(presented), this.#digest);
  }
}

/** Digests have one length, so that keys of any length compare in the same time. */
function digestOf(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

export function apiKeyPath(dataFolder: string): string {
  return join(dataFolder, FILE_NAME);
}

/**
 * The key in `dataFolder/api-key`, made on first use with mode 0600. Several processes may start at once: one of them
 * makes it, whole or not at all, and all read the same.
 * @throws Error when the file holds no key.
 */
export async function loadApiKey(dataFolder: string): Promise<string> {
  const path = apiKeyPath(dataFolder);
  await mkdir(dataFolder, { recursive: true });
  const found = (await read(path)) ?? (await create(path));
  if (!KEY_PATTERN.test(found)) {
    throw new Error(
      `${path} does not hold an API key (sk-manta-…): delete it to have a new one made`,
    );
  }
  if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600);
  return found;
}

async function read(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Written aside and linked into place: a link, unlike a rename, fails when another process was first. */
async function create(path: string): Promise<string> {
  const key = `sk-manta-${randomBytes(32).toString('base64url')}`;
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  const file = await open(aside, 'wx', 0o600);
  try {
    await file.writeFile(`${key}\n`);
    await file.sync();
    await link(aside, path);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return (await readFile(path, 'utf8')).trim();
  } finally {
    await file.close();
    await unlink(aside);
  }
}
