import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import type { NodeId, ProcessId } from '@manta/runtime/ids';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { SharedStore } from '@manta/runtime/shared-memory/shared-store';
import type { Clock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { AgentLogger } from '../agent/agent-logger.ts';
import { BlobServer } from '../transfer/blob-server.ts';
import { PullManager } from '../transfer/pull-manager.ts';
import { ObjectStore } from './object-store.ts';
import { SlotCopier } from './slot-copier.ts';
import type { SpillStorage } from './spill-storage.ts';
import type { StoreUsage } from './store-usage.ts';

export interface ObjectStoreSettings {
  /** Default: 30 % of the node's memory, as far as the file system of the store has so much free. */
  limitBytes: number | undefined;
  /** Where objects go that memory has no room for; used in turn. */
  spillDirectories: readonly string[];
  spillStorage: SpillStorage;
}

export interface NodeObjectStoreOptions {
  clock: Clock;
  logger: AgentLogger;
  settings: ObjectStoreSettings;
  /** Of the node. */
  memoryBytes: number;
  nodeId: NodeId;
  processId: ProcessId;
  agent(): ProcessAddress;
  connect(address: ProcessAddress): Promise<PeerConnection>;
}

/** Ray's default. */
const MEMORY_SHARE = 0.3;
/** Of what is free where the store is: others need room there too. */
const FREE_SHARE = 0.9;

/** The object store with all that it is made of: shared memory, disk, and transfers from and to other nodes. */
export class NodeObjectStore {
  /** What must not outlive the node. */
  readonly directories: readonly string[];
  private readonly store: ObjectStore;
  private readonly blobServer: BlobServer;

  private constructor(
    options: NodeObjectStoreOptions,
    memory: SharedStore,
    spillDirectories: readonly string[],
  ) {
    const { clock, logger, agent, connect, settings } = options;
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
      slots: new SlotCopier(memory.directory),
      spillStorage: settings.spillStorage,
      spillDirectories,
      connect,
      pull: (blob, owner) => pulls.pull(blob, owner),
    });
    this.blobServer = new BlobServer({ reader: this.store });
  }

  /** @throws MantaError when there is no place for it. */
  static async open(options: NodeObjectStoreOptions): Promise<NodeObjectStore> {
    const { settings, nodeId, processId, clock, logger } = options;
    const directory = `/dev/shm/manta-${process.getuid?.() ?? 0}-${nodeId}`;
    const limitBytes = await limitOf('/dev/shm', settings.limitBytes, options.memoryBytes);
    SharedStore.create(directory, { limitBytes });
    const memory = SharedStore.attach({ directory, processId, clock });
    const spillDirectories = settings.spillDirectories.map((parent) =>
      join(parent, `manta-spill-${nodeId}`),
    );
    for (const spill of spillDirectories) await mkdir(spill, { recursive: true, mode: 0o700 });
    logger.info({ directory, limitBytes, spillDirectories }, 'object store');
    return new NodeObjectStore(options, memory, spillDirectories);
  }

  /** Handles the records of this part; false for those of others. @throws ProtocolError */
  receive(channel: Channel, record: ChannelRecord): boolean {
    return this.store.receive(channel, record) || this.blobServer.receive(channel, record);
  }

  processEnded(processId: ProcessId): void {
    this.store.processEnded(processId);
  }

  usage(): StoreUsage {
    return this.store.usage();
  }

  /** Nothing of it is left afterwards. */
  async close(): Promise<void> {
    await this.store.close();
    for (const directory of this.directories) await rm(directory, { recursive: true, force: true });
  }
}

async function limitOf(
  fileSystem: string,
  wantedBytes: number | undefined,
  memoryBytes: number,
): Promise<number> {
  const { bavail, bsize } = await statfs(fileSystem);
  const possible = Math.floor(FREE_SHARE * bavail * bsize);
  return Math.min(possible, wantedBytes ?? Math.floor(MEMORY_SHARE * memoryBytes));
}
