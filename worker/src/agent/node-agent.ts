import { hostname } from 'node:os';
import { assert } from '@manta/runtime/assert';
import type { ChannelServer } from '@manta/runtime/channel/channel';
import { listenChannels, removeSocket } from '@manta/runtime/channel/channel-server';
import { machineId } from '@manta/runtime/channel/machine-id';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ClusterId, MintId, NodeId } from '@manta/runtime/ids';
import { decodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { MessageHandler, Subscription } from '@manta/runtime/transport/transport';
import {
  Acknowledgement,
  NodeCommands,
  NodeLogs,
  NodeRegisterReply,
  PROTOCOL_VERSION,
  type NodeCapacity,
  type NodeEvent,
  type NodeRegisterInput,
} from '@manta/runtime/wire/messages';
import { subjectsOf, type NodeOperation, type Subjects } from '@manta/runtime/wire/subjects';
import type { InferOutput } from 'valibot';
import { GroupGuardian } from '../pool/group-guardian.ts';
import type { PoolSettings } from '../pool/pool-state.ts';
import { ProcessGroups } from '../pool/process-groups.ts';
import { nodeLabels } from '../resources/node-resources.ts';
import { ActorSupervisor } from './actor-supervisor.ts';
import type { AgentLogger } from './agent-logger.ts';
import { answer } from './answer.ts';
import { driverEnded, DriverLinks } from './driver-links.ts';
import type { GatedTransport } from './gated-transport.ts';
import { HeadClient } from './head-client.ts';
import { HeartbeatThread } from './heartbeat.ts';
import type { HeartbeatIdentity, HeartbeatToAgent } from './heartbeat-protocol.ts';
import { JobLogPublisher } from './job-log-publisher.ts';
import { LogDirectory } from './log-directory.ts';
import { newIdentity, type NodeIdentity } from './node-identity.ts';
import { Registration } from './registration.ts';
import { Reporter } from './reporter.ts';

export interface NodeAgentOptions {
  transport: GatedTransport;
  clusterId: ClusterId;
  natsUrl: string;
  token: string;
  preloadModules: readonly string[];
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
  programs: NodePrograms;
  /** The head asks this node to end. */
  onShutdown(): void;
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
  private readonly links: DriverLinks;
  private identity: NodeIdentity;
  private epoch = '';
  private server: ChannelServer | undefined;
  private heartbeat: HeartbeatThread | undefined;
  private guardian: GroupGuardian | undefined;
  private heartbeatIdentity: HeartbeatIdentity | undefined;
  private readonly stopListening: (() => void)[] = [];
  private nodeSubscriptions: Subscription[] = [];
  private partitioned = false;
  private closing = false;

  constructor(options: NodeAgentOptions) {
    const { transport, clock, logger } = options;
    this.options = options;
    this.identity = options.identity;
    this.subjects = subjectsOf(options.clusterId);
    this.head = new HeadClient(transport, this.subjects);
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
      send: (message) => this.head.request('node.register', message, NodeRegisterReply),
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
    this.supervisor = this.makeSupervisor();
    this.links = new DriverLinks({
      clock,
      isConnected: () => transport.status === 'connected',
      onLinked: (processId) => this.reporter.push({ type: 'driver-linked', processId }),
      onEnded: (processId) => {
        removeSocket(options.folders.sockets, processId);
        this.reporter.push(driverEnded(processId, this.nodeId));
      },
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
    this.server = await this.listen();
    this.subscribeNode();
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
    this.startGuardian();
    this.supervisor.open();
  }

  /** @throws MantaError when the head cannot be asked. Resolves when no actor is left, or at the deadline. */
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
    this.options.transport.setCut(on);
  }

  /** Ends all actors within `graceMs` (SIGTERM, then SIGKILL), says goodbye, and lets go of all it held. */
  async close(reason: string, graceMs: number, lastReportsMs: number): Promise<void> {
    this.closing = true;
    this.registration.close();
    this.links.close();
    for (const stop of this.stopListening) stop();
    for (const subscription of this.nodeSubscriptions) subscription.unsubscribe();
    await this.supervisor.close(graceMs);
    if (this.options.transport.status === 'connected') {
      await this.reporter.flush(lastReportsMs);
      await this.deregister(reason);
    }
    this.reporter.close();
    this.jobLogs.close();
    await Promise.all([this.heartbeat?.close(), this.server?.close(), this.guardian?.close()]);
  }

  private async deregister(reason: string): Promise<void> {
    try {
      const message = { ...this.identity, reason };
      await this.head.request('node.deregister', message, Acknowledgement);
    } catch (error) {
      // The head finds out by itself: there are no heartbeats any more.
      this.options.logger.debug({ error: String(error) }, 'could not say goodbye to the head');
    }
  }

  private startGuardian(): void {
    this.guardian = new GroupGuardian((error) =>
      this.options.logger.warn({ error: error.message }, 'no guardian over the host processes'),
    );
    this.groups.watch(this.guardian);
  }

  private listen(): Promise<ChannelServer> {
    const { mintId, folders, tcpHost, token, logger, transport } = this.options;
    const processId = mintId('process');
    return listenChannels({
      processId,
      role: 'agent',
      machineId: machineId(),
      socketDirectory: folders.sockets,
      ...(tcpHost === undefined ? {} : { tcpHost }),
      nats: { transport, subject: this.subjects.processChannel(processId) },
      token,
      onChannel: (channel) => this.links.accept(channel),
      onRefused: (reason) => logger.warn({ error: reason.message }, 'refused a channel'),
      accepts: () => !this.partitioned,
    });
  }

  private makeSupervisor(): ActorSupervisor {
    const { options } = this;
    return new ActorSupervisor({
      settings: options.poolSettings,
      hostEntryFile: options.programs.host,
      hostNodeArguments: options.programs.hostNodeArguments,
      // CUDA must number devices as nvidia-smi does.
      environment: { ...process.env, CUDA_DEVICE_ORDER: 'PCI_BUS_ID' },
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
        socketDirectory: options.folders.sockets,
        moduleCacheDirectory: options.folders.cache,
        ...(options.tcpHost === undefined ? {} : { tcpHost: options.tcpHost }),
        token: options.token,
        brokerAddress: options.natsUrl,
        preloadModules: options.preloadModules,
      }),
      report: (event) => this.reporter.push(event),
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
    const { options, server } = this;
    assert(server !== undefined, 'a node registers after it listens');
    return {
      ...this.identity,
      name: options.name,
      pid: process.pid,
      hostname: hostname(),
      machineId: machineId(),
      protocolVersion: PROTOCOL_VERSION,
      capacity: options.capacity,
      labels: nodeLabels(this.nodeId, options.capacity.gpus, options.labels),
      address: { ...server.address, nodeId: this.nodeId },
      actors: [],
      hosts: this.supervisor.hosted(),
      drivers: this.links.drivers,
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
    this.subscribeNode();
  }

  private subscribeNode(): void {
    const { transport } = this.options;
    for (const subscription of this.nodeSubscriptions) subscription.unsubscribe();
    const on = (operation: NodeOperation, handler: MessageHandler): Subscription =>
      transport.subscribe(this.subjects.node(this.nodeId, operation), handler);
    // 'ping' is answered by the heartbeat thread.
    this.nodeSubscriptions = [
      on('commands', (payload, _subject, reply) => answer(reply, () => this.takeCommands(payload))),
      on('logs', (payload, _subject, reply) =>
        answer(reply, () => this.logs.answer(decodeControl(NodeLogs, payload))),
      ),
      on('shutdown', (_payload, _subject, reply) =>
        answer(reply, () => {
          this.options.clock.after(0, () => this.options.onShutdown());
          return ACKNOWLEDGED;
        }),
      ),
    ];
  }

  private takeCommands(payload: Uint8Array): InferOutput<typeof Acknowledgement> {
    const { epoch, commands } = decodeControl(NodeCommands, payload);
    // A head that this node has not registered with yet; what it says holds all the same.
    if (epoch !== this.epoch) this.registration.request();
    this.supervisor.execute(commands);
    return ACKNOWLEDGED;
  }

  private async sendReport(firstSequence: number, events: NodeEvent[]): Promise<void> {
    const report = { ...this.identity, firstSequence, events };
    await this.head.request('node.report', report, Acknowledgement);
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

const ACKNOWLEDGED: InferOutput<typeof Acknowledgement> = { ok: true };
