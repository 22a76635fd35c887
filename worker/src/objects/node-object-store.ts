import { mkdirSync, statfsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import type { NodeId, ProcessId } from '@manta/runtime/ids';
import { BlobServer } from '@manta/runtime/objects/blob-server';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { SharedStore } from '@manta/runtime/shared-memory/shared-store';
import {
  chooseStoreDirectory,
  MEMORY_DIRECTORY,
  removeDeadStores,
  type StoreDirectory,
} from '@manta/runtime/shared-memory/store-directory';
import { writeStoreOwner } from '@manta/runtime/shared-memory/store-owner';
import type { Clock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { NodeStoreReport } from '@manta/runtime/wire/object-messages';
import type { ObjectStoreState } from '@manta/runtime/wire/object-store-state';
import type { AgentLogger } from '../agent/agent-logger.ts';
import { PullManager } from '../transfer/pull-manager.ts';
import { ObjectStore } from './object-store.ts';
import { SlotCopier } from './slot-copier.ts';
import type { SpillStorage } from './spill-storage.ts';
import type { StoreQuery, StoreReport } from './store-report.ts';

export interface ObjectStoreSettings {
  /** Default: 30 % of the node's memory, as far as the file system of the store has so much free. */
  limitBytes: number | undefined;
  /** Where objects go that memory has no room for; used in turn. */
  spillDirectories: readonly string[];
  /** What spilling leaves free on their disks; undefined: see `spillFreeBytesMin`. */
  spillFreeBytesMin: number | undefined;
  spillStorage: SpillStorage;
  /** Where the store goes when shared memory is missing or too small for it. */
  fileDirectory: string;
}

interface StorePlace extends StoreDirectory {
  limitBytes: number;
}

interface StorePlaces {
  place: StorePlace;
  spillDirectories: readonly string[];
  /** Parents of these that did not exist before. */
  madeParents: readonly string[];
}

export interface NodeObjectStoreOptions {
  clock: Clock;
  logger: AgentLogger;
  settings: ObjectStoreSettings;
  /** Of the node. */
  memoryBytes: number;
  nodeId: NodeId;
  processId: ProcessId;
  readonly agent: () => ProcessAddress;
  readonly connect: (address: ProcessAddress) => Promise<PeerConnection>;
}

/** Ray's default. */
const MEMORY_SHARE = 0.3;
/** Of what is free where the store is: others need room there too. */
const FREE_SHARE = 0.9;
/** With less shared memory than this, and less than the default share, the store is kept in files. */
const LEAST_BYTES = 512 * 1024 * 1024;

/** The object store with all that it is made of: shared memory, disk, and transfers from and to other nodes. */
export class NodeObjectStore {
  /** What must not outlive the node. */
  readonly directories: readonly string[];
  readonly place: StoreDirectory;
  private readonly store: ObjectStore;
  private readonly blobServer: BlobServer;
  private readonly madeParents: readonly string[];

  private constructor(options: NodeObjectStoreOptions, memory: SharedStore, places: StorePlaces) {
    const { clock, logger, agent, connect, settings } = options;
    const { place, spillDirectories, madeParents } = places;
    this.place = place;
    this.madeParents = madeParents;
    this.directories = [memory.directory, ...spillDirectories];
    const pulls = new PullManager({
      store: memory,
      makeRoom: (bytes) => this.store.makeRoom(bytes),
      agent,
      connect,
      clock,
      onPulled: (blob, slot, owner) => this.store.pulled(blob, slot, owner),
    });
    this.store = new ObjectStore({
      clock,
      logger,
      agent,
      nodeId: () => options.nodeId,
      memory,
      slots: new SlotCopier(memory.directory, { isMemory: place.kind === 'memory' }),
      spillStorage: settings.spillStorage,
      spillDirectories,
      spillFreeBytesMin: settings.spillFreeBytesMin,
      connect,
      pull: (...wish) => pulls.pull(...wish),
    });
    this.blobServer = new BlobServer({ reader: this.store });
  }

  /** @throws MantaError when there is no place for it. */
  static open(options: NodeObjectStoreOptions): NodeObjectStore {
    const { settings, nodeId, processId, clock, logger } = options;
    const { fileDirectory } = settings;
    const madeParents = [fileDirectory, ...settings.spillDirectories].filter(makeDirectory);
    const place = placeOf(options);
    removeDead(settings, logger);
    SharedStore.create(place.directory, { limitBytes: place.limitBytes });
    const memory = SharedStore.attach({ directory: place.directory, processId, clock });
    const spillDirectories = settings.spillDirectories.map((parent) => {
      const spill = join(parent, basename(place.directory));
      mkdirSync(spill, { recursive: true, mode: 0o700 });
      writeStoreOwner(spill);
      return spill;
    });
    if (place.reason !== undefined)
      logger.warn({ directory: place.directory }, `objects are kept in files: ${place.reason}`);
    logger.info({ ...place, access: memory.access, nodeId, spillDirectories }, 'object store');
    return new NodeObjectStore(options, memory, { place, spillDirectories, madeParents });
  }

  /** Handles the records of this part; false for those of others. @throws ProtocolError */
  receive(channel: Channel, record: ChannelRecord): boolean {
    return this.store.receive(channel, record) || this.blobServer.receive(channel, record);
  }

  processEnded(processId: ProcessId): void {
    this.store.processEnded(processId);
  }

  state(): ObjectStoreState {
    const { liveBytes: _liveBytes, ...bytes } = this.store.usage();
    return { kind: this.place.kind, ...bytes };
  }

  report(query: StoreQuery): { store: NodeStoreReport; blobs: StoreReport['blobs'] } {
    const { blobs, ...report } = this.store.report(query);
    return { store: { ...this.state(), ...report }, blobs };
  }

  /** Nothing of it is left afterwards. */
  async close(): Promise<void> {
    await this.store.close();
    for (const directory of this.directories) await rm(directory, { recursive: true, force: true });
    for (const parent of this.madeParents) await removeEmpty(parent);
  }
}

/** False: it existed. */
const makeDirectory = (directory: string): boolean =>
  mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined;

async function removeEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory);
  } catch (error) {
    // Others use it, too, or have removed it.
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
  }
}

function placeOf({ settings, nodeId, memoryBytes }: NodeObjectStoreOptions): StorePlace {
  const { fileDirectory, limitBytes } = settings;
  const wantedBytes = limitBytes ?? Math.floor(MEMORY_SHARE * memoryBytes);
  // A limit that nobody asked for is lowered rather than have objects go to a disk.
  const leastBytes = limitBytes ?? Math.min(wantedBytes, LEAST_BYTES);
  const place = chooseStoreDirectory({ nodeId, limitBytes: leastBytes, fileDirectory });
  const { bavail, bsize } = statfsSync(dirname(place.directory));
  return { ...place, limitBytes: Math.min(wantedBytes, Math.floor(FREE_SHARE * bavail * bsize)) };
}

/** What sessions left that had no chance to tidy up. */
function removeDead(settings: ObjectStoreSettings, logger: AgentLogger): void {
  const { fileDirectory, spillDirectories } = settings;
  const parents = [MEMORY_DIRECTORY, fileDirectory, ...spillDirectories];
  const removed = removeDeadStores(parents);
  if (removed.length > 0) logger.info({ removed }, 'removed object stores of dead nodes');
}
