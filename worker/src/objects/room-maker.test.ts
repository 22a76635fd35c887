import { silentLogger } from '../agent/agent-logger.ts';
import { ObjectStoreFullError } from '@manta/runtime/errors/errors';
import type { BlobId, ProcessId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import { systemClock } from '@manta/runtime/time/clock';
import { afterEach, expect, it } from 'vitest';
import { MIB, storeMint } from '../testing/store-world.ts';
import { BlobTable } from './blob-table.ts';
import { RoomMaker } from './room-maker.ts';
import { SpillFiles } from './spill-files.ts';
import type { SlotSource, StoreMemory } from './store-memory.ts';
import { StoreProcesses } from './store-processes.ts';

const BLOBS = 3;

/** One process, which offers nothing; what happens while it is asked is up to the test. */
class AskedProcesses extends StoreProcesses {
  whenAsked: () => void = () => undefined;
  private readonly only = storeMint('process');

  override get ids(): ProcessId[] {
    return [this.only];
  }

  override ask(_process: ProcessId, question: number): Promise<unknown> {
    if (question === RECORD.storeCandidates) this.whenAsked();
    return Promise.resolve(undefined);
  }
}

let rooms: RoomMaker | undefined;

afterEach(() => rooms?.close());

/** A store that is full of blobs of the agent. */
function openFullStore() {
  const table = new BlobTable();
  const blobIds: BlobId[] = [];
  for (let number = 0; number < BLOBS; number += 1) {
    const blobId = storeMint('blob');
    blobIds.push(blobId);
    table.add({
      blobId,
      sizeBytes: MIB,
      owner: storeMint('process'),
      ownerAddress: undefined,
      slot: { segmentId: 1, offset: number * MIB, generation: 1 },
      holder: undefined,
      isCopy: false,
      spilled: undefined,
      lastUsedMs: 0,
    });
  }
  const memory: StoreMemory = {
    directory: '',
    limitBytes: BLOBS * MIB,
    usedBytes: BLOBS * MIB,
    reserve: () => undefined,
    release: () => undefined,
    sweep: () => undefined,
    trim: () => 0,
    pinned: (slots) => slots.map(() => false),
    adopt: () => [],
    liveSlots: () => [],
    close: () => undefined,
  };
  const slots: SlotSource = {
    copyOut: () => Promise.resolve(true),
    isCurrent: () => Promise.resolve(true),
    sweep: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const onDisk = new Set<string>();
  const files = new SpillFiles({
    directories: ['/disk'],
    storage: {
      write: (path) => Promise.resolve(void onDisk.add(path)),
      read: () => Promise.reject(new Error('nothing is read here')),
      remove: (path) => Promise.resolve(void onDisk.delete(path)),
      space: () => Promise.resolve(undefined),
    },
  });
  const processes = new AskedProcesses(systemClock);
  rooms = new RoomMaker({
    clock: systemClock,
    logger: silentLogger,
    memory,
    slots,
    files,
    table,
    processes,
    freeCopies: () => Promise.resolve(0),
    describe: () => 'no room',
  });
  return { table, blobIds, onDisk, files, processes, rooms };
}

it('tells who waits for room that its process has ended', async () => {
  const { rooms: room } = openFullStore();
  const process = storeMint('process');
  const others = room.make(MIB);
  const waiting = room.make(MIB, process);
  room.processEnded(process);
  await expect(waiting).rejects.toBeInstanceOf(ObjectStoreFullError);
  await others;
});

it('leaves nothing on disk of blobs that are freed while processes are asked what can go', async () => {
  const { table, blobIds, onDisk, files, processes, rooms: room } = openFullStore();
  const [first, ...others] = blobIds as [BlobId, ...BlobId[]];
  processes.whenAsked = () => void table.release([first]);
  // The first answer is that garbage was collected.
  await room.make((BLOBS - 0.5) * MIB);
  await room.make((BLOBS - 0.5) * MIB);
  for (const blobId of others) expect(table.get(blobId)?.spilled).toBeDefined();
  for (const location of table.release(others).spilled) await files.free(location);
  expect(onDisk).toEqual(new Set());
  expect(files.spilledBytes).toBe(0);
});
