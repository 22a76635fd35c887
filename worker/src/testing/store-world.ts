import { randomBytes, randomFillSync } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert } from '@manta/runtime/assert';
import type { Channel, ChannelPeer, ChannelServer } from '@manta/runtime/channel/channel';
import { listenChannels } from '@manta/runtime/channel/channel-server';
import { openChannel } from '@manta/runtime/channel/open-channel';
import { collectGarbage } from '@manta/runtime/core/garbage';
import { NodeStore } from '@manta/runtime/core/node-store';
import { ClusterUnavailableError, ObjectLostError } from '@manta/runtime/errors/errors';
import { createIdMint, type BlobId, type ObjectId, type ProcessId } from '@manta/runtime/ids';
import type { BlobDescriptor } from '@manta/runtime/objects/blob';
import { StoredValue } from '@manta/runtime/objects/stored-value';
import { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { RECORD } from '@manta/runtime/rpc/records';
import { SharedStore } from '@manta/runtime/shared-memory/shared-store';
import { MEMORY_DIRECTORY } from '@manta/runtime/shared-memory/store-directory';
import { systemClock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { silentLogger } from '../agent/agent-logger.ts';
import { ObjectStore } from '../objects/object-store.ts';
import { SlotCopier } from '../objects/slot-copier.ts';
import type { SpillStorage } from '../objects/spill-storage.ts';
import { FailingSpillStorage } from './failing-spill-storage.ts';

export const storeMint = createIdMint((bytes) => randomFillSync(bytes));
export const MIB = 2 ** 20;

const TOKEN = 'test-token';
const MACHINE = 'this machine';
const PARENT = existsSync(MEMORY_DIRECTORY) ? MEMORY_DIRECTORY : tmpdir();

export interface StoreWorldOptions {
  limitBytes: number;
  spillStorage?: SpillStorage;
  spillDirectories?: (root: string) => string[];
}

/** A node's object store and processes attached to it, all within one: real shared memory, channels and files. */
export class StoreWorld {
  readonly root = mkdtempSync(join(PARENT, 'manta-test-'));
  readonly nodeId = storeMint('node');
  agent: ProcessAddress;
  readonly store: ObjectStore;
  readonly memory: SharedStore;
  readonly processes: StoreProcess[] = [];
  private server: ChannelServer | undefined;

  private constructor(options: StoreWorldOptions) {
    const directory = join(this.root, 'store');
    SharedStore.create(directory, { limitBytes: options.limitBytes });
    const agentId = storeMint('process');
    this.agent = addressOf(agentId, this.nodeId);
    this.memory = SharedStore.attach({ directory, processId: agentId });
    this.store = new ObjectStore({
      clock: systemClock,
      logger: silentLogger,
      agent: () => this.agent,
      nodeId: () => this.nodeId,
      memory: this.memory,
      slots: new SlotCopier(directory, { isMemory: true }),
      // However full the machine that runs the tests is.
      spillStorage: options.spillStorage ?? new FailingSpillStorage(),
      spillDirectories: options.spillDirectories?.(this.root) ?? [join(this.root, 'spill')],
      connect: (address) => connect(address, { processId: agentId, role: 'agent' }),
      ownerRetryPausesMs: [10, 10],
      pull: (blob) => Promise.reject(new ObjectLostError(`nobody else has ${blob.blobId}`)),
    });
  }

  static async open(options: StoreWorldOptions): Promise<StoreWorld> {
    const world = new StoreWorld(options);
    const { agent } = world;
    world.server = await listen(world.root, agent.processId, 'agent', (channel) => {
      channel.onRecord((record) => void world.store.receive(channel, record));
    });
    world.agent = { ...world.server.address, nodeId: world.nodeId };
    return world;
  }

  /** A process that owns blobs here without being of this node. */
  async addStranger(): Promise<{ address: ProcessAddress; die: () => Promise<void> }> {
    const server = await listen(this.root, storeMint('process'), 'driver', (channel) =>
      channel.onRecord(() => undefined),
    );
    return { address: server.address, die: () => server.close() };
  }

  async addProcess(role: ChannelPeer['role'] = 'host'): Promise<StoreProcess> {
    const processId = storeMint('process');
    const connection = await connect(this.agent, { processId, role });
    const process = new StoreProcess(this, processId, connection);
    this.processes.push(process);
    await process.nodeStore.attach();
    return process;
  }

  async close(): Promise<void> {
    for (const process of this.processes) process.close();
    await this.server?.close();
    await this.store.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** A process of the node: stores and reads as actors and drivers do. */
export class StoreProcess {
  readonly address: ProcessAddress;
  readonly nodeStore: NodeStore;
  /** Of what is stored next; default: a new one. */
  nextBlobId: BlobId | undefined;
  private readonly connection: PeerConnection;

  constructor(world: StoreWorld, processId: ProcessId, connection: PeerConnection) {
    this.address = addressOf(processId, world.nodeId);
    this.connection = connection;
    this.nodeStore = new NodeStore({
      clock: systemClock,
      processId,
      mintBlobId: () => this.nextBlobId ?? storeMint('blob'),
      connect: () =>
        connection.closed
          ? Promise.reject(new ClusterUnavailableError('the agent is gone'))
          : Promise.resolve(connection),
      collectGarbage,
      noteHeld: () => undefined,
      callStarted: () => undefined,
      callFinished: () => undefined,
      warn: () => undefined,
    });
    this.nodeStore.useAgent(world.agent);
  }

  async put(bytes: Uint8Array, owner?: ProcessAddress): Promise<BlobDescriptor> {
    const written = this.nodeStore.write([bytes], bytes.byteLength, owner);
    const blob = 'giveUp' in written ? await written.blob : written;
    assert(blob !== undefined, 'nobody gave it up');
    return blob;
  }

  /** A copy, so that nothing stays pinned for longer than it takes. */
  async read(blob: BlobDescriptor, owner: ProcessAddress = this.address): Promise<Uint8Array> {
    const stored = new StoredValue(blob, owner, [], this.nodeStore.slotHint(blob));
    for (;;) {
      const opened = this.nodeStore.open(stored);
      if (opened !== undefined) return new Uint8Array(opened.bufferOf(0, blob.sizeBytes)).slice();
      await this.nodeStore.locate(stored, owner);
    }
  }

  /** Pinned for as long as it lives. */
  view(blob: BlobDescriptor): Uint8Array {
    const stored = new StoredValue(blob, undefined, [], this.nodeStore.slotHint(blob));
    const opened = this.nodeStore.open(stored);
    assert(opened !== undefined, 'it is in memory');
    return new Uint8Array(opened.bufferOf(0, blob.sizeBytes));
  }

  get liveBytes(): number {
    return this.nodeStore.statistics()?.liveBytes ?? 0;
  }

  /** Asks the agent for one of its durable objects; gives what its record says. */
  fetchDurable(objectId: ObjectId): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const unexpected = (): never => reject(new Error('not an answer to a fetch')) as never;
      const call = this.connection.expect({
        onFetched: (entries) => resolve((entries as unknown[][])[0]?.[2]),
        onResult: unexpected,
        onFailure: unexpected,
        onStream: unexpected,
        onItem: unexpected,
        onEnd: unexpected,
        onLost: reject,
      });
      this.tell([RECORD.fetch, call, [objectId]]);
    });
  }

  tell(record: unknown[]): void {
    this.connection.channel.send(record);
  }

  release(blob: BlobDescriptor, copies: readonly ProcessAddress[] = []): void {
    this.nodeStore.release(blob, copies);
  }

  /** As by SIGKILL: nothing is tidied up; then the pool tells the store. */
  die(world: StoreWorld): void {
    this.connection.channel.close();
    world.store.processEnded(this.address.processId);
  }

  close(): void {
    this.nodeStore.close();
    this.connection.channel.close();
  }
}

function addressOf(processId: ProcessId, nodeId: StoreWorld['nodeId']): ProcessAddress {
  return { processId, nodeId, machineId: MACHINE, socketPath: undefined, tcp: undefined };
}

function listen(
  root: string,
  processId: ProcessId,
  role: ChannelPeer['role'],
  onChannel: (channel: Channel) => void,
): Promise<ChannelServer> {
  return listenChannels({
    processId,
    role,
    machineId: MACHINE,
    socketDirectory: join(root, 's'),
    token: TOKEN,
    onChannel,
  });
}

async function connect(address: ProcessAddress, self: ChannelPeer): Promise<PeerConnection> {
  const options = { self, machineId: MACHINE, token: TOKEN, timeoutMs: 2_000 };
  return new PeerConnection(await openChannel(address, options));
}

export function randomValue(sizeBytes: number): Buffer {
  return randomBytes(sizeBytes);
}
