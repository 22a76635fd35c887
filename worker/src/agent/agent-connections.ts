import { assert } from '@manta/runtime/assert';
import type { Channel, ChannelRecord, ChannelServer } from '@manta/runtime/channel/channel';
import { listenChannels } from '@manta/runtime/channel/channel-server';
import { removeSocket } from '@manta/runtime/channel/local-listener';
import { machineId } from '@manta/runtime/channel/machine-id';
import type { StorePlace } from '@manta/runtime/core/store-attachment';
import { type MantaError, ProtocolError } from '@manta/runtime/errors/errors';
import type { ClusterId, NodeId, ProcessId } from '@manta/runtime/ids';
import { addressFrom } from '@manta/runtime/rpc/address-record';
import { PeerConnections } from '@manta/runtime/rpc/peer-connections';
import { RECORD } from '@manta/runtime/rpc/records';
import { decodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import { NodeDied, type NodeEvent, type ProcessAddress } from '@manta/runtime/wire/messages';
import type { NodeObjects, NodeObjectsReply } from '@manta/runtime/wire/object-messages';
import type { Subjects } from '@manta/runtime/wire/subjects';
import { NodeObjectStore, type ObjectStoreSettings } from '../objects/node-object-store.ts';
import type { NodeVitals } from './heartbeat-protocol.ts';
import type { AgentLogger } from './agent-logger.ts';
import { driverEnded, DriverLinks } from './driver-links.ts';
import type { GatedTransport } from './gated-transport.ts';
import { ObjectInquiries, type LocalProcess } from './object-inquiries.ts';

export interface AgentConnectionsOptions {
  transport: GatedTransport;
  clusterId: ClusterId;
  subjects: Subjects;
  clock: Clock;
  logger: AgentLogger;
  token: string;
  processId: ProcessId;
  readonly nodeId: () => NodeId;
  socketDirectory: string;
  /** Interface for channels from other machines; absent: Unix sockets only. */
  tcpHost: string | undefined;
  /** Those are encrypted. */
  encrypted: boolean;
  objectStore: ObjectStoreSettings;
  /** Of the node. */
  memoryBytes: number;
  readonly report: (event: NodeEvent) => void;
  readonly onDriverLinked: (driver: ProcessId) => void;
  /** The processes of this node that house actors and tasks. */
  readonly hosts: () => readonly LocalProcess[];
}

/**
 * What an agent does over channels: it hears that drivers live, manages the object store for the processes of its node,
 * and gives blobs to other nodes.
 */
export class AgentConnections {
  private readonly options: AgentConnectionsOptions;
  private readonly links: DriverLinks;
  private readonly peers: PeerConnections;
  private server: ChannelServer | undefined;
  private store: NodeObjectStore | undefined;
  private readonly driverAddresses = new Map<ProcessId, ProcessAddress>();
  private readonly inquiries: ObjectInquiries;
  private partitioned = false;
  private refusedChannels = 0;

  constructor(options: AgentConnectionsOptions) {
    const { transport, clock, processId, socketDirectory, report } = options;
    this.options = options;
    this.peers = new PeerConnections({
      self: { processId, role: 'agent' },
      clusterId: options.clusterId,
      machineId: machineId(),
      token: options.token,
      encrypted: options.encrypted,
      transport: () => Promise.resolve(transport),
      onRefused: (reason) => this.refused(reason),
    });
    this.inquiries = new ObjectInquiries({
      clock,
      agent: () => this.address,
      nodeId: () => options.nodeId(),
      processes: () => [...this.driverProcesses(), ...options.hosts()],
      connect: (address) => this.peers.connect(address),
      store: (query) => this.store?.report(query),
      replyBytesMax: () => transport.maxPayloadBytes,
    });
    this.links = new DriverLinks({
      clock,
      isConnected: () => transport.status === 'connected',
      onLinked: (driver) => {
        report({ type: 'driver-linked', processId: driver });
        options.onDriverLinked(driver);
      },
      onEnded: (driver, isLinked) => {
        removeSocket(socketDirectory, driver);
        this.driverAddresses.delete(driver);
        if (isLinked) report(driverEnded(driver, options.nodeId()));
        else this.processEnded(driver);
      },
    });
  }

  /** @throws MantaError when there is no place for the object store. */
  async open(): Promise<void> {
    const { clock, logger, objectStore, memoryBytes, processId, nodeId } = this.options;
    this.store = NodeObjectStore.open({
      clock,
      logger,
      settings: objectStore,
      memoryBytes,
      nodeId: nodeId(),
      processId,
      agent: () => this.address,
      connect: (address) => this.peers.connect(address),
    });
    this.server = await this.listen();
    this.heedDeaths();
  }

  /** Pulls from a machine that says nothing any more go on elsewhere, or end, when the head has given it up. */
  private heedDeaths(): void {
    const { transport, subjects, nodeId: ownNodeId } = this.options;
    transport.subscribe(subjects.nodeDied, (payload) => {
      const { nodeId } = decodeControl(NodeDied, payload);
      if (nodeId !== ownNodeId()) this.peers.nodeDied(nodeId);
    });
  }

  /** How processes reach this agent. */
  get address(): ProcessAddress {
    const { server, options } = this;
    assert(server !== undefined, 'a node has an address once it listens');
    return { ...server.address, nodeId: options.nodeId() };
  }

  /** Those that live, as far as their links say. */
  get drivers(): ProcessId[] {
    return this.links.drivers;
  }

  /** Who holds what on this node. @throws BackpressureError */
  objects(query: NodeObjects): Promise<NodeObjectsReply> {
    return this.inquiries.answer(query);
  }

  private driverProcesses(): LocalProcess[] {
    return this.links.drivers.map((processId) => ({
      processId,
      role: 'driver',
      address: this.driverAddresses.get(processId),
      pid: undefined,
      actors: [],
    }));
  }

  /** What must be removed when the agent cannot do it itself. */
  get directories(): readonly string[] {
    return this.store?.directories ?? [];
  }

  get storePlace(): StorePlace {
    const { store } = this;
    assert(store !== undefined, 'a node has a store once it is open');
    return { directory: store.place.directory };
  }

  vitals(): NodeVitals {
    const { refusedChannels } = this;
    return this.store === undefined
      ? { refusedChannels }
      : { objectStore: this.store.state(), refusedChannels };
  }

  countRefused(channels: number): void {
    this.refusedChannels += channels;
  }

  private refused(reason: MantaError): void {
    this.countRefused(1);
    this.options.logger.warn({ error: reason.message }, 'a channel was refused');
  }

  /** What the process stored is freed, or kept for others. */
  processEnded(processId: ProcessId): void {
    this.store?.processEnded(processId);
  }

  setPartitioned(on: boolean): void {
    this.partitioned = on;
    this.peers.setCut(on);
  }

  /** The node goes, the drivers stay: their links ending now says nothing. */
  stopLinks(): void {
    this.links.close();
  }

  async close(): Promise<void> {
    this.stopLinks();
    await Promise.all([this.peers.close(), this.server?.close()]);
    await this.store?.close();
  }

  private listen(): Promise<ChannelServer> {
    const { socketDirectory, tcpHost, encrypted, token, transport, subjects, processId } =
      this.options;
    return listenChannels({
      processId,
      role: 'agent',
      machineId: machineId(),
      socketDirectory,
      ...(tcpHost === undefined ? {} : { tcpHost }),
      encrypted,
      nats: { transport, subject: subjects.processChannel(processId) },
      token,
      onChannel: (channel) => channel.onRecord((record) => this.receive(channel, record)),
      onRefused: (reason) => this.refused(reason),
      accepts: () => !this.partitioned,
    });
  }

  private link(channel: Channel, [, address]: ChannelRecord): void {
    if (address != null) this.driverAddresses.set(channel.peer.processId, addressFrom(address));
    this.links.link(channel);
  }

  private receive(channel: Channel, record: ChannelRecord): void {
    const isOfDriver = channel.peer.role === 'driver';
    if (isOfDriver && record[0] === RECORD.storeAttach) this.links.attach(channel);
    if (isOfDriver && record[0] === RECORD.link) this.link(channel, record);
    else if (this.store?.receive(channel, record) !== true)
      throw new ProtocolError(`An agent takes no channel record of kind ${String(record[0])}.`);
  }
}
