import { hostname } from 'node:os';
import { machineId } from '@manta/runtime/channel/machine-id';
import { HeadClient } from '@manta/runtime/core/head-client';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ClusterId, MintId, NodeId } from '@manta/runtime/ids';
import { isEncryptedBus } from '@manta/runtime/session/address';
import type { Clock } from '@manta/runtime/time/clock';
import {
  Acknowledgement,
  NodeRegisterReply,
  type NodeCapacity,
  type NodeCommands,
  type NodeEvent,
  type NodeRegisterInput,
} from '@manta/runtime/wire/messages';
import { subjectsOf, type Subjects } from '@manta/runtime/wire/subjects';
import { practiceActor } from '../host/warm-up.ts';
import type { ObjectStoreSettings } from '../objects/node-object-store.ts';
import { GroupGuardian } from '../pool/group-guardian.ts';
import type { PoolSettings } from '../pool/pool-settings.ts';
import { ProcessGroups } from '../pool/process-groups.ts';
import { copyThreshold } from '../resources/copy-threshold.ts';
import { nodeLabels } from '../resources/node-resources.ts';
import { ActorSupervisor } from './actor-supervisor.ts';
import type { AgentLogger } from './agent-logger.ts';
import { AgentConnections } from './agent-connections.ts';
import type { GatedTransport } from './gated-transport.ts';
import { HeartbeatThread } from './heartbeat.ts';
import type { HeartbeatIdentity, HeartbeatToAgent } from './heartbeat-protocol.ts';
import { HostAnnouncements } from './host-announcements.ts';
import { JobLogPublisher } from './job-log-publisher.ts';
import { LogDirectory } from './log-directory.ts';
import { newIdentity, type NodeIdentity } from './node-identity.ts';
import { NodeRequests } from './node-requests.ts';
import { Registration } from './registration.ts';
import { Reporter } from './reporter.ts';

export interface NodeAgentOptions {
  transport: GatedTransport;
  clusterId: ClusterId;
  natsUrl: string;
  token: string;
  /** Of the actor that hosts practise with (host/warm-up.ts). */
  practiceModule: string | undefined;
  clock: Clock;
  mintId: MintId;
  logger: AgentLogger;
  identity: NodeIdentity;
  name: string;
  capacity: NodeCapacity;
  labels: Record<string, string>;
  folders: NodeFolders;
  /** Interface for channels from other machines; absent: Unix sockets only. */
  tcpHost: string | undefined;
  poolSettings: PoolSettings;
  objectStore: ObjectStoreSettings;
  programs: NodePrograms;
}

export interface NodeFolders {
  sockets: string;
  logs: string;
  cache: string;
}

export interface NodePrograms {
  /** Path of what a host process runs. */
  host: string;
  hostNodeArguments: readonly string[];
  heartbeatThread: URL;
}

/** How often the head hears what the object store holds. */
const VITALS_INTERVAL_MS = 1_000;

/** One node's standing with the head: registered, reporting what happens, and doing what it is told. */
export class NodeAgent {
  private readonly options: NodeAgentOptions;
  private readonly subjects: Subjects;
  private readonly head: HeadClient;
  private readonly reporter: Reporter;
  private readonly registration: Registration;
  private readonly groups = new ProcessGroups();
  private readonly logs: LogDirectory;
  private readonly jobLogs: JobLogPublisher;
  private readonly supervisor: ActorSupervisor;
  private readonly connections: AgentConnections;
  private readonly requests: NodeRequests;
  private readonly announcements: HostAnnouncements;
  private identity: NodeIdentity;
  private epoch = '';
  private heartbeat: HeartbeatThread | undefined;
  private guardian: GroupGuardian | undefined;
  private heartbeatIdentity: HeartbeatIdentity | undefined;
  private readonly stopListening: (() => void)[] = [];
  private partitioned = false;
  private closing = false;

  constructor(options: NodeAgentOptions) {
    const { transport, clock, logger } = options;
    this.options = options;
    this.identity = options.identity;
    this.subjects = subjectsOf(options.clusterId);
    this.head = new HeadClient(transport, options.clusterId, options.clock);
    this.reporter = new Reporter({
      clock,
      send: (firstSequence, events) => this.sendReport(firstSequence, events),
      onRefused: (error) => {
        logger.warn({ error: String(error) }, 'the head refused a report; registering again');
        this.registration.request();
      },
    });
    this.registration = new Registration({
      clock,
      describe: () => this.describe(),
      send: (message) => this.head.requestOnce('node.register', message, NodeRegisterReply),
      onAccepted: (reply) => this.accepted(reply),
      onRefused: (nodeId, reason) => this.refused(nodeId, reason),
      onFailed: (error) => logger.warn({ error: String(error) }, 'cannot register; trying again'),
    });
    const nodeId = (): NodeId => this.nodeId;
    const directory = options.folders.logs;
    this.logs = new LogDirectory(directory);
    this.jobLogs = new JobLogPublisher({
      directory,
      clock,
      logger,
      transport,
      subjects: this.subjects,
      nodeId,
    });
    this.announcements = new HostAnnouncements({
      transport,
      subjects: this.subjects,
      drivers: () => this.connections.drivers,
      readyHosts: () => this.supervisor.readyHosts(),
    });
    this.supervisor = this.makeSupervisor();
    this.connections = new AgentConnections({
      ...options,
      encrypted: isEncryptedBus(options.natsUrl),
      subjects: this.subjects,
      processId: options.mintId('process'),
      nodeId,
      socketDirectory: options.folders.sockets,
      memoryBytes: options.capacity.memoryBytes,
      report: (event) => this.report(event),
      onDriverLinked: (driver) => this.announcements.linked(driver),
      hosts: () => this.supervisor.processes(),
    });
    this.requests = new NodeRequests({
      transport,
      subjects: this.subjects,
      onCommands: (commands) => this.takeCommands(commands),
      onLogs: (query) => this.logs.answer(query),
      onJobLogs: (jobId) => this.jobLogs.send(jobId),
      onObjects: (query) => this.connections.objects(query),
    });
  }

  get nodeId(): NodeId {
    return this.identity.nodeId;
  }

  /**
   * Takes channels and registers.
   * @throws MantaError when the head does not accept this node, or none answers until `deadlineMs` (epoch time).
   */
  async start(deadlineMs: number): Promise<void> {
    const { transport } = this.options;
    await this.connections.open();
    this.requests.listen(this.nodeId);
    const started = transport.subscribe(this.subjects.headStarted, () =>
      this.registration.request(),
    );
    this.stopListening.push(
      () => started.unsubscribe(),
      transport.onStatus((status) => {
        if (status === 'connected') this.registration.request();
      }),
    );
    await this.registration.first(deadlineMs);
  }

  /** Begins what may wait until the caller of `start` has gone on: the heartbeat thread and the process pool. */
  startBackground(): void {
    if (this.heartbeatIdentity === undefined || this.closing) return;
    this.heartbeat = this.makeHeartbeat(this.heartbeatIdentity);
    if (this.partitioned) this.heartbeat.setPartitioned(true);
    const tell = (): void => this.heartbeat?.tell(this.connections.vitals());
    tell();
    this.stopListening.push(this.options.clock.every(VITALS_INTERVAL_MS, tell, { unref: true }));
    this.startGuardian();
    this.supervisor.open();
  }

  /** @throws MantaError when no head answers within a minute. Resolves when no actor is left, or at the deadline. */
  async drain(deadlineMs?: number): Promise<void> {
    const request = { nodeId: this.nodeId, deadlineMs, reason: 'drain was asked for' };
    await this.head.request('node.drain', request, Acknowledgement);
    let cancel: (() => void) | undefined;
    const deadline = new Promise<void>((resolve) => {
      if (deadlineMs !== undefined) cancel = this.options.clock.after(deadlineMs, resolve);
    });
    await Promise.race([this.supervisor.idle(), deadline]);
    cancel?.();
  }

  setPartitioned(on: boolean): void {
    this.partitioned = on;
    // Hosts first: nobody may reach them from the moment this node counts as cut off.
    this.supervisor.setPartitioned(on);
    this.heartbeat?.setPartitioned(on);
    this.connections.setPartitioned(on);
    this.options.transport.setCut(on);
  }

  /** Ends all actors within `graceMs` (SIGTERM, then SIGKILL), says goodbye, and lets go of all it held. */
  async close(reason: string, graceMs: number, lastReportsMs: number): Promise<void> {
    this.closing = true;
    this.registration.close();
    this.connections.stopLinks();
    for (const stop of this.stopListening) stop();
    this.requests.close();
    await this.supervisor.close(graceMs);
    if (this.options.transport.status === 'connected') {
      await this.reporter.flush(lastReportsMs);
      await this.deregister(reason);
    }
    this.reporter.close();
    this.jobLogs.close();
    await Promise.all([this.heartbeat?.close(), this.connections.close()]);
    await this.guardian?.close();
  }

  private async deregister(reason: string): Promise<void> {
    try {
      const message = { ...this.identity, reason };
      await this.head.requestOnce('node.deregister', message, Acknowledgement);
    } catch (error) {
      // The head finds out by itself: there are no heartbeats any more.
      this.options.logger.debug({ error: String(error) }, 'could not say goodbye to the head');
    }
  }

  private startGuardian(): void {
    if (this.guardian !== undefined || this.closing) return;
    this.guardian = new GroupGuardian((error) =>
      this.options.logger.warn({ error: error.message }, 'no guardian over the host processes'),
    );
    this.groups.watch(this.guardian);
    for (const directory of this.connections.directories) this.guardian.removeAtEnd(directory);
  }

  /** To the head; what ends is no longer in the object store either. */
  private report(event: NodeEvent): void {
    if (event.type === 'process-ended') this.connections.processEnded(event.processId);
    this.reporter.push(event);
  }

  private makeSupervisor(): ActorSupervisor {
    const { options } = this;
    const { practiceModule, mintId } = options;
    const practice =
      practiceModule === undefined ? undefined : practiceActor(practiceModule, mintId);
    return new ActorSupervisor({
      settings: options.poolSettings,
      hostEntryFile: options.programs.host,
      hostNodeArguments: options.programs.hostNodeArguments,
      // CUDA must number devices as nvidia-smi does.
      environment: { ...process.env, ...copyThreshold(), CUDA_DEVICE_ORDER: 'PCI_BUS_ID' },
      logDirectory: options.folders.logs,
      groups: this.groups,
      clock: options.clock,
      mintId: options.mintId,
      logs: this.logs,
      jobLogs: this.jobLogs,
      nodeId: () => this.nodeId,
      configuration: (processId, isolation) => ({
        clusterId: options.clusterId,
        nodeId: this.nodeId,
        processId,
        machineId: machineId(),
        isolation,
        agent: this.connections.address,
        storePlace: this.connections.storePlace,
        socketDirectory: options.folders.sockets,
        moduleCacheDirectory: options.folders.cache,
        ...(options.tcpHost === undefined ? {} : { tcpHost: options.tcpHost }),
        token: options.token,
        brokerAddress: options.natsUrl,
        ...(practice === undefined ? {} : { practice }),
      }),
      report: (event) => this.report(event),
      onUnusedHostEnded: (hostId) => this.connections.processEnded(hostId),
      onRefusedChannels: (channels) => this.connections.countRefused(channels),
      onStarting: (ownerId, host) => this.announcements.starting(ownerId, host),
      onHostReady: (host) => this.announcements.ready(host),
    });
  }

  private makeHeartbeat(identity: HeartbeatIdentity): HeartbeatThread {
    const { programs, natsUrl, token, clusterId } = this.options;
    return new HeartbeatThread({
      entryFile: programs.heartbeatThread,
      configuration: { natsUrl, token, clusterId, processGroups: this.groups.buffer, identity },
      onMessage: (message) => this.fromHeartbeat(message),
    });
  }

  private describe(): NodeRegisterInput {
    const { options } = this;
    return {
      ...this.identity,
      name: options.name,
      pid: process.pid,
      hostname: hostname(),
      machineId: machineId(),
      capacity: options.capacity,
      labels: nodeLabels(this.nodeId, options.capacity.gpus, options.labels),
      address: this.connections.address,
      actors: [],
      hosts: this.supervisor.hosted(),
      drivers: this.connections.drivers,
      leases: this.supervisor.leases(),
      idleHosts: this.supervisor.idleHosts(),
    };
  }

  private accepted(reply: NodeRegisterReply): void {
    this.epoch = reply.epoch;
    this.groups.clearKilled();
    const { heartbeatIntervalMs, fencingTimeoutMs } = reply;
    this.heartbeatIdentity = { ...this.identity, heartbeatIntervalMs, fencingTimeoutMs };
    this.heartbeat?.registered(this.heartbeatIdentity);
    const { nodeId } = this;
    const cause: DeathCause = { kind: 'killed', message: 'the head had given it up', nodeId };
    this.supervisor.execute(
      reply.killActors.map((actor) => ({ type: 'end-actor', ...actor, how: 'kill', cause })),
    );
    this.reporter.resume();
  }

  private refused(nodeId: NodeId, reason: string): void {
    this.options.logger.warn(
      { nodeId, reason },
      'the head has given this node up: all its actors end',
    );
    this.reporter.pause();
    this.supervisor.killAll({
      kind: 'node-died',
      message: `node ${nodeId} was given up: ${reason}`,
      nodeId,
    });
    this.reporter.reset();
    this.identity = newIdentity(this.options.mintId);
    this.requests.listen(this.nodeId);
  }

  private takeCommands({ epoch, commands }: NodeCommands): void {
    // A head that this node has not registered with yet; what it says holds all the same.
    if (epoch !== this.epoch) this.registration.request();
    this.supervisor.execute(commands);
    // Before anything can have been started by what that starts.
    this.startGuardian();
  }

  private async sendReport(firstSequence: number, events: NodeEvent[]): Promise<void> {
    const report = { ...this.identity, firstSequence, events };
    await this.head.requestOnce('node.report', report, Acknowledgement);
  }

  private fromHeartbeat(message: HeartbeatToAgent): void {
    const { logger } = this.options;
    switch (message.type) {
      case 'running':
        logger.debug({}, 'heartbeat runs');
        break;
      case 'log':
        logger[message.level]({}, message.message);
        break;
      case 'register-again':
        this.registration.request();
        break;
      case 'fenced':
        this.fenced(message.withoutContactMs);
        break;
    }
  }

  private fenced(withoutContactMs: number): void {
    const { nodeId } = this;
    const text = `node ${nodeId} was cut off from the head for ${Math.round(withoutContactMs)} ms and ended its actors`;
    this.options.logger.error({ nodeId, withoutContactMs }, text);
    this.supervisor.killAll({ kind: 'node-died', message: text, nodeId });
    this.registration.request();
  }
}
