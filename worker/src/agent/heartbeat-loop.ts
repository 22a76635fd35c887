import { uptime } from 'node:os';
import { encodeControl } from '@manta/runtime/serialization/control-codec';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import type { Subscription, Transport } from '@manta/runtime/transport/transport';
import type { Heartbeat, NodePingReply } from '@manta/runtime/wire/messages';
import { heartbeatClientName, subjectsOf, type Subjects } from '@manta/runtime/wire/subjects';
import type { InferOutput } from 'valibot';
import { ProcessGroups } from '../pool/process-groups.ts';
import {
  createFencingState,
  stepFencing,
  type FencingEvent,
  type FencingState,
} from './fencing.ts';
import type {
  AgentToHeartbeat,
  HeartbeatConfiguration,
  HeartbeatIdentity,
  HeartbeatToAgent,
  NodeVitals,
} from './heartbeat-protocol.ts';
import { brokerEndpoints, isLocal, probe, type BrokerEndpoint } from './reachability.ts';

const CHECKS_PER_FENCING_TIMEOUT = 10;
const CHECK_INTERVAL_MIN_MS = 10;
const CONNECT_RETRY_MS = 250;
const PROBE_TIMEOUT_MAX_MS = 1_000;

/**
 * Includes the time a machine slept, and never jumps, unlike `Date.now()`. On Linux `performance.now()` leaves sleep out;
 * on macOS it does not, and `uptime()` is whole seconds of the wall clock.
 */
const now =
  process.platform === 'darwin' ? (): number => performance.now() : (): number => uptime() * 1_000;

/**
 * A node's sign of life, apart from its agent: runs in a thread with a connection of its own, so that an agent that
 * is busy still beats, answers pings, and gives up its actors when it is cut off.
 */
export class HeartbeatLoop {
  private readonly configuration: HeartbeatConfiguration;
  private readonly post: (message: HeartbeatToAgent) => void;
  private readonly subjects: Subjects;
  private readonly endpoints: BrokerEndpoint[];
  private readonly groups: ProcessGroups;
  private readonly fencing: FencingState;
  private identity: HeartbeatIdentity;
  private transport: Transport | undefined;
  private pings: Subscription | undefined;
  private beatTimer: NodeJS.Timeout | undefined;
  private checkTimer: NodeJS.Timeout | undefined;
  private vitals: NodeVitals = { refusedChannels: 0 };
  private sequence = 0;
  private partitioned = false;
  private stopped = false;
  private roundTripPending = false;
  private probePending = false;

  constructor(configuration: HeartbeatConfiguration, post: (message: HeartbeatToAgent) => void) {
    this.configuration = configuration;
    this.post = post;
    this.identity = configuration.identity;
    this.subjects = subjectsOf(configuration.clusterId);
    this.endpoints = brokerEndpoints(configuration.natsUrl);
    this.groups = new ProcessGroups(configuration.processGroups);
    this.fencing = createFencingState(this.identity.fencingTimeoutMs, now());
  }

  /** Resolves when the first heartbeat is out. */
  async run(): Promise<void> {
    this.armTimers();
    await this.connect();
    this.post({ type: 'running' });
  }

  receive(message: AgentToHeartbeat): void {
    switch (message.type) {
      case 'registered':
        this.adopt(message.identity);
        break;
      case 'vitals':
        this.vitals = message.vitals;
        break;
      case 'partition':
        this.partitioned = message.on;
        if (!message.on) this.beat();
        break;
      case 'stop':
        void this.stop();
        break;
    }
  }

  private async connect(): Promise<void> {
    const { natsUrl, token } = this.configuration;
    while (!this.stopped) {
      try {
        const name = heartbeatClientName(this.identity.nodeId);
        const transport = await connectNats({ servers: natsUrl.split(','), token, name });
        if (this.stopped) return await transport.close();
        const former = this.transport;
        this.transport = transport;
        this.answerPings();
        this.beat();
        return await former?.close();
      } catch (error) {
        this.post({
          type: 'log',
          level: 'warn',
          message: `heartbeat cannot connect: ${String(error)}`,
        });
        await new Promise((resolve) => setTimeout(resolve, CONNECT_RETRY_MS));
      }
    }
  }

  private answerPings(): void {
    this.pings?.unsubscribe();
    const { nodeId, sessionId } = this.identity;
    const reply: InferOutput<typeof NodePingReply> = { nodeId, sessionId };
    const encoded = encodeControl(reply);
    this.pings = this.transport?.subscribe(
      this.subjects.node(nodeId, 'ping'),
      (_payload, _subject, answer) => {
        if (!this.partitioned) answer?.(encoded);
      },
    );
  }

  private adopt(identity: HeartbeatIdentity): void {
    const nodeChanged = identity.nodeId !== this.identity.nodeId;
    this.identity = identity;
    this.fencing.timeoutMs = identity.fencingTimeoutMs;
    this.step({ type: 'registered', nowMs: now() });
    this.armTimers();
    // The head knows the connection by the node's id.
    if (nodeChanged && this.transport !== undefined) void this.connect();
    else this.beat();
  }

  private armTimers(): void {
    clearInterval(this.beatTimer);
    clearInterval(this.checkTimer);
    const { heartbeatIntervalMs, fencingTimeoutMs } = this.identity;
    const checkMs = Math.max(CHECK_INTERVAL_MIN_MS, fencingTimeoutMs / CHECKS_PER_FENCING_TIMEOUT);
    this.beatTimer = setInterval(() => this.beat(), heartbeatIntervalMs);
    this.checkTimer = setInterval(() => this.check(), checkMs);
  }

  private beat(): void {
    if (this.partitioned || this.stopped) return;
    const connected = this.transport?.status === 'connected';
    if (connected) this.publishHeartbeat();
    // The last question is still open: the broker, its machine or the way to it is in trouble.
    if (!connected || this.roundTripPending) void this.probeBrokers();
    if (connected) void this.roundTrip();
  }

  private publishHeartbeat(): void {
    const { nodeId, sessionId } = this.identity;
    this.sequence += 1;
    const { sequence, vitals } = this;
    const heartbeat: Heartbeat = { nodeId, sessionId, sequence, ...vitals };
    this.transport?.publish(this.subjects.heartbeat, encodeControl(heartbeat));
  }

  private async roundTrip(): Promise<void> {
    if (this.roundTripPending) return;
    this.roundTripPending = true;
    const sentAtMs = now();
    let wasSlow = false;
    try {
      await this.transport?.flush();
      if (!this.partitioned) this.step({ type: 'round-trip', sentAtMs });
      wasSlow = now() - sentAtMs > this.identity.heartbeatIntervalMs;
    } catch {
      // The connection is being restored; until then the probes speak.
    } finally {
      this.roundTripPending = false;
    }
    // An answer proves contact at the time of its question: after a late one, ask anew at once.
    if (wasSlow && !this.stopped) void this.roundTrip();
  }

  private async probeBrokers(): Promise<void> {
    if (this.probePending) return;
    this.probePending = true;
    const sentAtMs = now();
    const timeoutMs = Math.min(PROBE_TIMEOUT_MAX_MS, this.identity.fencingTimeoutMs / 2);
    const reaches = await Promise.all(this.endpoints.map((endpoint) => probe(endpoint, timeoutMs)));
    this.probePending = false;
    if (!this.partitioned) this.step({ type: 'probed', sentAtMs, reaches });
  }

  private check(): void {
    this.step({
      type: 'check',
      nowMs: now(),
      localBroker: isLocal(this.endpoints),
      cutOff: this.partitioned,
    });
  }

  private step(event: FencingEvent): void {
    for (const effect of stepFencing(this.fencing, event)) {
      if (effect.type === 'register-again') {
        this.post({ type: 'register-again' });
        continue;
      }
      // First the deed, then the word: the agent that would hear it may be stuck.
      const hosts = this.groups.killAll();
      this.post({ type: 'fenced', withoutContactMs: effect.withoutContactMs, hosts });
    }
  }

  private async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.beatTimer);
    clearInterval(this.checkTimer);
    await this.transport?.close();
  }
}
