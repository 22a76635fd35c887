import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FailingSpillStorage } from '../testing/failing-spill-storage.ts';
import { SpillFailedError } from './spill-errors.ts';
import { SpillFiles, type SpillLocation, type SpillSource } from './spill-files.ts';
import { spillFreeBytesMin } from './spill-space.ts';
import { fileSpillStorage } from './spill-storage.ts';

const MIB = 2 ** 20;
let root: string;
const directories = (): string[] => [join(root, 'a'), join(root, 'b')];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'manta-spill-test-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function sourceOf(bytes: Uint8Array): SpillSource {
  return {
    sizeBytes: bytes.byteLength,
    copyOut: (offset, target) => {
      target.set(bytes.subarray(offset, offset + target.byteLength));
      return Promise.resolve(true);
    },
  };
}

async function readAll(files: SpillFiles, location: SpillLocation): Promise<Buffer> {
  const whole = Buffer.alloc(location.sizeBytes);
  await files.read(location, (offset, bytes) => whole.set(bytes, offset));
  return whole;
}

function changeByte(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] as number) ^ 1;
  writeFileSync(path, bytes);
}

const filesOnDisk = (): string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.includes('spill-'),
  );

describe('spill files', () => {
  it('hold many blobs each, in directories taken in turn, and go with their last blob', async () => {
    const files = new SpillFiles({
      storage: new FailingSpillStorage(),
      directories: directories(),
    });
    const values = [5 * MIB, 100, 4 * MIB, 1].map((size) => randomBytes(size));
    const first = await files.write(values.map(sourceOf));
    const second = await files.write(values.map(sourceOf));
    expect(filesOnDisk()).toHaveLength(2);
    expect(new Set([...first, ...second].map((one) => one?.path)).size).toBe(2);
    for (const [index, location] of first.entries())
      expect(
        (await readAll(files, location as SpillLocation)).equals(values[index] as Buffer),
      ).toBe(true);
    for (const location of first.slice(1)) await files.free(location as SpillLocation);
    expect(filesOnDisk()).toHaveLength(2);
    await files.free(first[0] as SpillLocation);
    expect(filesOnDisk()).toHaveLength(1);
    for (const location of second) await files.free(location as SpillLocation);
    expect(filesOnDisk()).toEqual([]);
    expect(files).toMatchObject({ spilledBytes: 0, fileCount: 0 });
  });

  it('leave out what was gone before it was copied', async () => {
    const files = new SpillFiles({
      storage: new FailingSpillStorage(),
      directories: directories(),
    });
    const gone: SpillSource = { sizeBytes: 10, copyOut: () => Promise.resolve(false) };
    const [none, some] = await files.write([gone, sourceOf(randomBytes(10))]);
    expect(none).toBeUndefined();
    await files.free(some as SpillLocation);
    expect(filesOnDisk()).toEqual([]);
  });

  it('are split at 100 MiB and at 2000 blobs', () => {
    const sizes = (count: number, sizeBytes: number): { sizeBytes: number }[] =>
      Array.from({ length: count }, () => ({ sizeBytes }));
    expect(SpillFiles.batches(sizes(9, 30 * MIB)).map(({ length }) => length)).toEqual([3, 3, 3]);
    expect(SpillFiles.batches(sizes(4_500, 1)).map(({ length }) => length)).toEqual([
      2_000, 2_000, 500,
    ]);
    expect(SpillFiles.batches(sizes(2, 300 * MIB)).map(({ length }) => length)).toEqual([1, 1]);
  });

  it('are found out when their bytes have changed', async () => {
    const files = new SpillFiles({
      storage: new FailingSpillStorage(),
      directories: directories(),
    });
    const [location] = await files.write([sourceOf(randomBytes(1_000))]);
    writeFileSync((location as SpillLocation).path, randomBytes(1_000));
    await expect(readAll(files, location as SpillLocation)).rejects.toThrow(/checksum/);
  });

  it('give any part of what was written', async () => {
    const files = new SpillFiles({
      storage: new FailingSpillStorage(),
      directories: directories(),
    });
    const value = randomBytes(3 * MIB + 5);
    const [, location] = await files.write([randomBytes(7), value].map(sourceOf));
    const parts: [offset: number, bytes: number][] = [
      [0, MIB],
      [MIB, 2 * MIB],
      [3 * MIB, 5],
      [0, value.byteLength],
      [MIB - 1, 2],
      [MIB + 1, MIB],
      [3 * MIB + 4, 1],
    ];
    for (const [offset, bytes] of parts) {
      const part = Buffer.alloc(bytes);
      await files.readPart(location as SpillLocation, offset, part);
      expect(part.equals(value.subarray(offset, offset + bytes)), `${offset}`).toBe(true);
    }
  });

  it('are found out by who reads a part with a changed byte, and by nobody else', async () => {
    const files = new SpillFiles({
      storage: new FailingSpillStorage(),
      directories: directories(),
    });
    const [, found] = await files.write([randomBytes(7), randomBytes(3 * MIB)].map(sourceOf));
    const location = found as SpillLocation;
    changeByte(location.path, location.offset + MIB + 1);
    const read = (offset: number): Promise<void> =>
      files.readPart(location, offset, new Uint8Array(10));
    await read(0);
    await read(2 * MIB);
    const damaged = { damaged: true, message: expect.stringContaining(location.path) as string };
    await expect(read(MIB + 100)).rejects.toMatchObject(damaged);
    await expect(read(MIB - 1)).rejects.toMatchObject(damaged);
  });
});

describe('a bad disk', () => {
  it('that fails half of the time gives right answers', async () => {
    const storage = new FailingSpillStorage({ share: 0.5 });
    const files = new SpillFiles({ storage, directories: directories() });
    for (let round = 0; round < 20; round += 1) {
      const values = [9 * MIB, 3].map((size) => randomBytes(size));
      const locations = await files.write(values.map(sourceOf));
      for (const [index, location] of locations.entries())
        expect(
          (await readAll(files, location as SpillLocation)).equals(values[index] as Buffer),
        ).toBe(true);
      for (const location of locations) await files.free(location as SpillLocation);
    }
    expect(storage.failures).toBeGreaterThan(50);
    expect(files.spilledBytes).toBe(0);
  });

  it('that is full is passed over for the next, and said to be full when all are', async () => {
    const storage = new FailingSpillStorage({ full: (path) => path.startsWith(join(root, 'a')) });
    const files = new SpillFiles({ storage, directories: directories() });
    for (let round = 0; round < 3; round += 1) {
      const [location] = await files.write([sourceOf(randomBytes(10))]);
      expect(location?.path.startsWith(join(root, 'b'))).toBe(true);
      await files.free(location as SpillLocation);
    }
    storage.full = () => true;
    const failed = await files.write([sourceOf(randomBytes(10))]).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(SpillFailedError);
    expect((failed as SpillFailedError).full).toBe(true);
    storage.full = () => false;
    expect((await files.write([sourceOf(randomBytes(10))]))[0]).toBeDefined();
  });
});

describe('a disk with little room', () => {
  it('keeps a twentieth free for others, at least 1 GiB, and no more than a tenth for that', () => {
    const GIB = 1024 ** 3;
    const least = [1_000, 100, 15, 10, 1].map((gibibytes) => spillFreeBytesMin(gibibytes * GIB));
    expect(least.map((bytes) => bytes / GIB)).toEqual([50, 5, 1, 1, 0.1]);
  });

  it('is passed over before it is full, told of once, and used again when there is room', async () => {
    let freeBytes = 100 * MIB;
    const space = () => ({ freeBytes, totalBytes: 1_000 * MIB });
    const storage = new FailingSpillStorage({ spaceOf: space });
    const told: string[] = [];
    const files = new SpillFiles({
      storage,
      directories: [join(root, 'a')],
      onFailure: ({ directory, full }) => told.push(`${directory} is full: ${full}`),
      onRoom: (directory) => told.push(`${directory} has room`),
    });
    for (let round = 0; round < 3; round += 1) {
      const failed = await files
        .write([sourceOf(randomBytes(MIB))])
        .catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(SpillFailedError);
      expect(failed).toMatchObject({
        full: true,
        message: expect.stringContaining('ENOSPC') as string,
      });
    }
    expect(filesOnDisk()).toEqual([]);
    freeBytes = 101 * MIB;
    for (let round = 0; round < 2; round += 1)
      expect(await files.write([sourceOf(randomBytes(MIB))])).toHaveLength(1);
    const directory = join(root, 'a');
    expect(told).toEqual([`${directory} is full: true`, `${directory} has room`]);
  });

  it('is passed over for the next, and leaves free what was asked for', async () => {
    const storage = new FailingSpillStorage({
      spaceOf: (directory) => ({
        freeBytes: directory === join(root, 'a') ? 2 * MIB : 3 * MIB,
        totalBytes: 1_000 * MIB,
      }),
    });
    const files = new SpillFiles({ storage, directories: directories(), freeBytesMin: 2 * MIB });
    for (let round = 0; round < 3; round += 1) {
      const [location] = await files.write([sourceOf(randomBytes(MIB))]);
      expect(location?.path.startsWith(join(root, 'b'))).toBe(true);
    }
  });

  it('tells how much it has, and a directory that is not there has none', async () => {
    const space = await fileSpillStorage.space(root);
    expect(space?.freeBytes).toBeLessThanOrEqual(space?.totalBytes as number);
    expect(await fileSpillStorage.space(join(root, 'nowhere'))).toBeUndefined();
  });
});
