import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProtocolError } from '@manta/runtime/errors/errors';
import { WORD } from '@manta/runtime/core/owner-words';
import type { ObjectId } from '@manta/runtime/ids';
import type { BlobDescriptor } from '@manta/runtime/objects/blob';
import { storedFrom } from '@manta/runtime/objects/stored-value';
import { RECORD } from '@manta/runtime/rpc/records';
import { decodeError } from '@manta/runtime/serialization/error-codec';
import { waitFor } from '@manta/runtime/testing/wait-for';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { FailingSpillStorage } from '../testing/failing-spill-storage.ts';
import {
  MIB,
  randomValue,
  storeMint,
  StoreWorld,
  type StoreProcess,
  type StoreWorldOptions,
} from '../testing/store-world.ts';

let world: StoreWorld;

afterEach(async () => {
  const { root } = world;
  await world.close();
  if (existsSync(root)) throw new Error(`${root} was not removed`);
});

async function open(options: StoreWorldOptions): Promise<void> {
  world = await StoreWorld.open(options);
}

async function until(condition: () => unknown): Promise<void> {
  await waitFor(condition, { timeoutMs: 10_000, describe: String(condition) });
}

async function isEqual(
  process: StoreProcess,
  blob: BlobDescriptor,
  value: Buffer,
  owner = process,
) {
  return value.equals(await process.read(blob, owner.address));
}

/** The agent has an entry for it: without one, it would need the hint. */
async function knows({ blobId }: BlobDescriptor): Promise<boolean> {
  const request = { blobId, offset: 0, bytes: 1, slot: undefined };
  return world.store.read(request, new Uint8Array(1));
}

const spilledFiles = (): string[] =>
  existsSync(join(world.root, 'spill')) ? readdirSync(join(world.root, 'spill')) : [];

/** Changes bytes of all that is on disk; gives where it is. */
function spoilDisk(): string {
  const directory = join(world.root, 'spill');
  for (const name of readdirSync(directory)) {
    const bytes = readFileSync(join(directory, name));
    for (let at = 0; at < bytes.byteLength; at += 1_000) bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(join(directory, name), bytes);
  }
  return directory;
}

const failureOf = (record: unknown): unknown => decodeError(record as Uint8Array);

/** Writes nothing before it is let go. */
class HeldDisk extends FailingSpillStorage {
  readonly reached: Promise<void>;
  letGo: (failure?: Error) => void = () => undefined;
  readonly #held: Promise<Error | undefined>;
  #reach: () => void = () => undefined;

  constructor() {
    super();
    this.#held = new Promise((resolve) => (this.letGo = resolve));
    this.reached = new Promise((resolve) => (this.#reach = resolve));
  }

  override async write(path: string, offset: number, bytes: Uint8Array): Promise<void> {
    this.#reach();
    const failure = await this.#held;
    if (failure !== undefined) throw failure;
    await super.write(path, offset, bytes);
  }
}

/** What a process tells the owner of an object that it frees. */
const freed = (objectId: ObjectId): unknown[] => [RECORD.borrow, 0, 1, [[WORD.freed, [objectId]]]];

/** Puts until the first blobs are on disk. */
async function fill(process: StoreProcess, owner?: StoreProcess) {
  const values: [BlobDescriptor, Buffer][] = [];
  for (let number = 0; number < 8; number += 1) {
    const value = randomValue(3 * MIB);
    values.push([await process.put(value, owner?.address), value]);
  }
  expect(world.store.usage().diskBytes).toBeGreaterThan(0);
  return values;
}

describe('room', () => {
  it('is made by moving the least recently used to disk, and what was moved comes back', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    const values = await fill(process);
    for (const [blob, value] of values) expect(await isEqual(process, blob, value)).toBe(true);
    const { spilledBytes, restoredBytes, evictions } = world.store.usage();
    expect(spilledBytes).toBeGreaterThanOrEqual(9 * MIB);
    expect(restoredBytes).toBeGreaterThanOrEqual(9 * MIB);
    expect(evictions).toBeGreaterThan(3);
  });

  it('is taken from other processes too', async () => {
    await open({ limitBytes: 16 * MIB });
    const [first, second] = [await world.addProcess(), await world.addProcess('driver')];
    const values = await fill(first);
    const value = randomValue(10 * MIB);
    const blob = await second.put(value);
    expect(await isEqual(first, blob, value, second)).toBe(true);
    for (const [old, bytes] of values) expect(await isEqual(second, old, bytes, first)).toBe(true);
  });

  it('is not made for what can never fit', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    await expect(process.put(randomValue(17 * MIB))).rejects.toThrow(/can never fit/);
  });

  it('is made in the background from 80 % on', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    for (let number = 0; number < 5; number += 1) await process.put(randomValue(2.7 * MIB));
    await until(() => world.store.usage().evictions > 0);
    expect(world.store.usage().diskBytes).toBeGreaterThan(0);
  });

  it('is refused when all is looked at, naming who holds what', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    const blobs = await Promise.all([1, 2, 3].map(() => process.put(randomValue(4 * MIB))));
    const views = blobs.map((blob) => process.view(blob));
    const refused = await process.put(randomValue(6 * MIB)).catch((error: unknown) => error);
    expect(refused).toMatchObject({ name: 'ObjectStoreFullError' });
    expect((refused as Error).message).toContain(`${process.address.processId} holds 12.0 MiB`);
    expect(views.every((view) => view.byteLength === 4 * MIB)).toBe(true);
  });
});

describe('release', () => {
  it('of the last blob in a file removes the file', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    const values = await fill(process);
    for (const [blob] of values) process.release(blob);
    await until(() => world.store.usage().diskBytes === 0);
    await until(() => spilledFiles().length === 0);
    expect(await Promise.all(values.map(([blob]) => knows(blob)))).not.toContain(true);
  });

  it('by the owner reaches the process that stored it for the owner', async () => {
    await open({ limitBytes: 16 * MIB });
    const [owner, producer] = [await world.addProcess('driver'), await world.addProcess()];
    const blob = await producer.put(randomValue(2 * MIB), owner.address);
    await until(() => knows(blob));
    owner.release(blob);
    await until(() => producer.liveBytes === 0);
    expect(await knows(blob)).toBe(false);
  });

  it('that comes before the blob is known is not forgotten', async () => {
    await open({ limitBytes: 16 * MIB });
    const [owner, producer] = [await world.addProcess('driver'), await world.addProcess()];
    producer.nextBlobId = storeMint('blob');
    owner.tell([RECORD.storeRelease, 0, [producer.nextBlobId]]);
    // A question that is answered: the release has been read.
    await expect(owner.put(randomValue(17 * MIB))).rejects.toThrow();
    const blob = await producer.put(randomValue(2 * MIB), owner.address);
    expect(producer.liveBytes).toBe(2 * MIB);
    await until(() => producer.liveBytes === 0);
    expect(await knows(blob)).toBe(false);
  });
});

describe('death', () => {
  it('of a process frees what was its own, on disk too, and keeps what it stored for others', async () => {
    await open({ limitBytes: 24 * MIB });
    const [owner, producer] = [await world.addProcess('driver'), await world.addProcess()];
    const value = randomValue(3 * MIB);
    const kept = await producer.put(value, owner.address);
    for (let number = 0; number < 8; number += 1) await producer.put(randomValue(3 * MIB));
    await until(() => world.store.usage().diskBytes > 0);
    producer.die(world);
    expect(await isEqual(owner, kept, value)).toBe(true);
    owner.release(kept);
    await until(() => world.memory.statistics().liveBytes === 0);
    await until(() => world.store.usage().diskBytes === 0 && spilledFiles().length === 0);
    const fresh = await world.addProcess();
    await fresh.put(randomValue(20 * MIB));
  });

  it('of an owner on another node frees what is kept for it', async () => {
    await open({ limitBytes: 16 * MIB });
    const stranger = await world.addStranger();
    const process = await world.addProcess();
    const blob = await process.put(randomValue(2 * MIB), stranger.address);
    await until(() => knows(blob));
    process.die(world);
    await until(() => world.memory.statistics().liveBytes >= 2 * MIB);
    await stranger.die();
    await until(() => world.memory.statistics().liveBytes === 0);
    expect(await knows(blob)).toBe(false);
    await until(() => world.memory.usedBytes === 0);
  });

  it('of an owner on another node frees what a process that lives on keeps for it', async () => {
    await open({ limitBytes: 16 * MIB });
    const stranger = await world.addStranger();
    const process = await world.addProcess();
    const blob = await process.put(randomValue(2 * MIB), stranger.address);
    await until(() => knows(blob));
    await stranger.die();
    await until(() => process.liveBytes === 0);
    expect(await knows(blob)).toBe(false);
  });

  it('of an owner of this node frees what comes for it after its end was told', async () => {
    await open({ limitBytes: 16 * MIB });
    const [owner, producer] = [await world.addProcess('driver'), await world.addProcess()];
    world.store.processEnded(owner.address.processId);
    const blob = await producer.put(randomValue(2 * MIB), owner.address);
    await until(() => knows(blob));
    owner.close();
    await until(() => producer.liveBytes === 0);
    expect(await knows(blob)).toBe(false);
  });
});

describe('a durable object', () => {
  it('is on disk when its put is over, outlives the process that put it, and goes when it is freed', async () => {
    await open({ limitBytes: 24 * MIB });
    const [owner, reader] = [await world.addProcess('driver'), await world.addProcess()];
    const objectId = storeMint('object');
    const early = reader.fetchDurable(objectId);
    const value = randomValue(3 * MIB);
    await owner.nodeStore.keepDurable(objectId, value);
    expect(world.store.usage().diskBytes).toBe(3 * MIB);
    await early;
    owner.die(world);
    const { blob } = storedFrom((await reader.fetchDurable(objectId)) as unknown[]);
    expect(value.equals(await reader.read(blob, world.agent))).toBe(true);
    reader.tell(freed(objectId));
    expect(decodeError((await reader.fetchDurable(objectId)) as Uint8Array)).toMatchObject({
      name: 'ObjectFreedError',
    });
    await until(() => spilledFiles().length === 0);
    await until(() => world.memory.statistics().liveBytes === 0);
  });
});

describe('a durable object whose writing takes long', () => {
  it('is not kept when it is freed meanwhile, and who waits for it is told at once', async () => {
    const disk = new HeldDisk();
    await open({ limitBytes: 24 * MIB, spillStorage: disk });
    const [owner, reader] = [await world.addProcess('driver'), await world.addProcess()];
    const objectId = storeMint('object');
    const early = reader.fetchDurable(objectId);
    const kept = owner.nodeStore.keepDurable(objectId, randomValue(3 * MIB));
    const refusal = kept.catch((error: unknown) => error);
    await disk.reached;
    owner.tell(freed(objectId));
    expect(failureOf(await early)).toMatchObject({ name: 'ObjectFreedError' });
    disk.letGo();
    expect(await refusal).toMatchObject({ name: 'ObjectFreedError' });
    await until(() => spilledFiles().length === 0 && owner.liveBytes === 0);
    expect(failureOf(await reader.fetchDurable(objectId))).toMatchObject({
      name: 'ObjectFreedError',
    });
    expect(
      world.store.report({ blobIds: new Set(), objectIds: new Set(), limit: 10 }).blobs,
    ).toEqual([]);
  });

  it('and fails is told with the cause to all who want it, and leaves nothing in memory', async () => {
    const disk = new HeldDisk();
    await open({ limitBytes: 24 * MIB, spillStorage: disk });
    const [owner, reader] = [await world.addProcess('driver'), await world.addProcess()];
    const objectId = storeMint('object');
    const early = reader.fetchDurable(objectId);
    const kept = owner.nodeStore.keepDurable(objectId, randomValue(3 * MIB));
    const refusal = kept.catch((error: unknown) => error);
    const full = {
      name: 'ObjectStoreFullError',
      message: expect.stringContaining('no space') as string,
    };
    await disk.reached;
    disk.letGo(Object.assign(new Error('no space left'), { code: 'ENOSPC' }));
    expect(await refusal).toMatchObject(full);
    expect(failureOf(await early)).toMatchObject(full);
    expect(failureOf(await reader.fetchDurable(objectId))).toMatchObject(full);
    await until(() => owner.liveBytes === 0);
  });
});

describe('another node', () => {
  it('reads from memory by the hint of the descriptor, and from disk', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    const values = await fill(process);
    for (const [{ blobId, slot }, value] of values) {
      const request = { blobId, offset: MIB, bytes: 1_000, slot };
      const bytes = new Uint8Array(1_000);
      expect(await world.store.read(request, bytes)).toBe(true);
      expect(value.subarray(MIB, MIB + 1_000).equals(bytes)).toBe(true);
    }
    const nowhere = { blobId: storeMint('blob'), offset: 0, bytes: 10, slot: undefined };
    expect(await world.store.read(nowhere, new Uint8Array(10))).toBe(false);
  });

  it('gets no bytes that the disk has spoiled: that copy is given up', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    const values = await fill(process);
    const path = spoilDisk();
    const wrong: BlobDescriptor[] = [];
    const lost: string[] = [];
    for (const [blob, value] of values) {
      const { blobId, slot } = blob;
      const bytes = new Uint8Array(1_000);
      const request = { blobId, offset: MIB, bytes: 1_000, slot };
      const isHere = await world.store.read(request, bytes).catch((error: unknown) => {
        lost.push((error as Error).message);
        return world.store.read(request, bytes);
      });
      if (isHere && !value.subarray(MIB, MIB + 1_000).equals(bytes)) wrong.push(blob);
    }
    expect(wrong).toEqual([]);
    expect(lost.length).toBeGreaterThan(0);
    for (const text of lost) expect(text).toContain(path);
  });
});

describe('a hostile peer', () => {
  it('is refused whatever it sends, and nothing else breaks', async () => {
    await open({ limitBytes: 16 * MIB });
    const process = await world.addProcess();
    const channel = { peer: { processId: storeMint('process'), role: 'host' }, send: () => {} };
    const kinds = [
      RECORD.storeAttach,
      RECORD.storeNeed,
      RECORD.storeLocate,
      RECORD.storeRelease,
      RECORD.storeKeep,
    ];
    const record = fc.tuple(fc.constantFrom(...kinds), fc.array(fc.anything(), { maxLength: 4 }));
    fc.assert(
      fc.property(record, ([kind, rest]) => {
        try {
          // An attachment that is well formed would be one.
          if (kind === RECORD.storeAttach && typeof rest[0] === 'number') return;
          world.store.receive(channel as never, [kind, ...rest]);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }),
    );
    const value = randomValue(MIB);
    expect(await isEqual(process, await process.put(value), value)).toBe(true);
  });
});
