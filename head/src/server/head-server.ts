import { MantaError } from '@manta/runtime/errors/errors';
import type { ClusterId, NodeId, ProcessId } from '@manta/runtime/ids';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { Subscription, Transport } from '@manta/runtime/transport/transport';
import { Heartbeat, PROTOCOL_VERSION, type NodeCommand } from '@manta/runtime/wire/messages';
import {
  DISCOVER_SUBJECT,
  HEAD_OPERATIONS,
  subjectsOf,
  type HeadOperation,
  type Subjects,
} from '@manta/runtime/wire/subjects';
import { detectionTimes, type DetectionTimes } from '../health/failure-detector.ts';
import type { StateStore } from '../store/state-store.ts';
import {
  Cluster,
  DEFAULT_CLUSTER_SETTINGS,
  nodeReportMs,
  type ClusterSettings,
} from '../tables/cluster.ts';
import { runDeadlines } from '../tables/deadlines.ts';
import { hasEffects, type Effects } from '../tables/effects.ts';
import { takeBackStarts } from '../tables/nodes.ts';
import { settleCluster } from '../tables/scheduling.ts';
import { actorUpdateOf } from './descriptions.ts';
import { HANDLERS, RefusedError } from './handlers.ts';
import { silentLogger, type HeadLogger } from './head-logger.ts';
import { NodeHealth } from './node-health.ts';
import { NodeOutbox } from './node-outbox.ts';
import { recoverCluster, saveEffects } from './recovery.ts';

export interface HeadServerOptions {
  readonly clusterId: ClusterId;
  /** Changes with each start of a head. */
  readonly epoch: string;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Absent: the cluster does not outlive this head, and nothing is written. */
  readonly store?: StateStore | undefined;
  readonly logger?: HeadLogger | undefined;
  readonly settings?: Partial<ClusterSettings> | undefined;
  /** Runs a task after the messages that are at hand. Default: setImmediate. */
  readonly defer?: ((task: () => void) => void) | undefined;
  /** The state can no longer be written: the head has stopped answering. */
  readonly onFatal?: ((error: unknown) => void) | undefined;
}

/** Counted since the start. */
export interface HeadCounters {
  readonly requests: Map<string, number>;
  invalidMessages: number;
  heartbeats: number;
  turns: number;
  commits: number;
}

/** Updates to one process in one message. */
const UPDATES_BYTES_MAX = 1024 * 1024;
const UPDATE_BYTES = 512;

/**
 * The head's event loop. Messages change the tables as they come; at the end of the turn everything they caused is
 * written in one commit, and only then answered and announced, in order.
 */
export class HeadServer {
  readonly cluster: Cluster;
  readonly times: DetectionTimes;
  readonly counters: HeadCounters = {
    requests: new Map(),
    invalidMessages: 0,
    heartbeats: 0,
    turns: 0,
    commits: 0,
  };
  readonly #options: HeadServerOptions;
  readonly #logger: HeadLogger;
  readonly #subjects: Subjects;
  readonly #health: NodeHealth;
  readonly #outboxes = new Map<NodeId, NodeOutbox>();
  readonly #defer: (task: () => void) => void;
  #subscriptions: Subscription[] = [];
  #cancels: (() => void)[] = [];
  #answers: (() => void)[] = [];
  #turnIsDue = false;
  #commitsUnderWay = 0;
  #lastHeadStartedAt = 0;
  #isClosed = false;

  constructor(options: HeadServerOptions) {
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    const settings = { ...DEFAULT_CLUSTER_SETTINGS, ...options.settings };
    this.cluster = new Cluster(settings);
    this.times = detectionTimes(settings.failureDetectionMs);
    this.#subjects = subjectsOf(options.clusterId);
    this.#health = this.#newHealth();
    this.#defer = options.defer ?? ((task) => void setImmediate(task));
  }

  /** Loads what the former head knew, then listens. */
  async start(): Promise<void> {
    const { transport, clock, store } = this.#options;
    this.cluster.nodesMayReportUntil = clock.now() + nodeReportMs(this.cluster.settings);
    if (store !== undefined) recoverCluster(this.cluster, store, clock.now());
    this.#subscriptions = [
      transport.subscribe(DISCOVER_SUBJECT, (_payload, _subject, reply) => this.#onDiscover(reply)),
      transport.subscribe(this.#subjects.allHeadRequests, (payload, subject, reply) => {
        this.#onMessage(subject, payload, reply);
      }),
    ];
    await transport.flush();
    const tick = clock.every(this.times.tickIntervalMs, () => this.#tick(), { unref: true });
    this.#cancels.push(tick);
    this.#announceStart();
    this.#turn();
  }

  /** Stops listening and writes what is pending. Nodes and actors go on. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    for (const cancel of this.#cancels) cancel();
    this.#health.close();
    this.#turn();
    this.#isClosed = true;
    for (const outbox of this.#outboxes.values()) outbox.close();
    await this.#options.store?.commit();
  }

  #onDiscover(reply: ((payload: Uint8Array) => void) | undefined): void {
    const { clusterId, epoch, clock } = this.#options;
    reply?.(
      encodeControl({ clusterId, protocolVersion: PROTOCOL_VERSION, epoch, now: clock.now() }),
    );
  }

  #onMessage(
    subject: string,
    payload: Uint8Array,
    reply: ((payload: Uint8Array) => void) | undefined,
  ): void {
    if (this.#isClosed) return;
    if (subject === this.#subjects.heartbeat) {
      this.#onHeartbeat(payload, reply);
      return;
    }
    const operation = subject.slice(this.#subjects.allHeadRequests.length - 1);
    const answer = this.#answer(operation, payload);
    if (reply !== undefined) this.#answers.push(() => reply(answer));
    this.#scheduleTurn();
  }

  #answer(operation: string, payload: Uint8Array): Uint8Array {
    try {
      if (!isOperation(operation))
        throw new RefusedError('ProtocolError', `no operation ${operation}`);
      this.counters.requests.set(operation, (this.counters.requests.get(operation) ?? 0) + 1);
      const { clusterId, epoch, clock } = this.#options;
      const { heartbeatIntervalMs, fencingTimeoutMs } = this.times;
      return encodeControl(
        HANDLERS[operation](
          {
            cluster: this.cluster,
            clusterId,
            epoch,
            heartbeatIntervalMs,
            fencingTimeoutMs,
            now: clock.now(),
          },
          payload,
        ),
      );
    } catch (error) {
      return encodeControl({ error: this.#errorOf(operation, error) });
    }
  }

  #errorOf(operation: string, error: unknown): { name: string; message: string } {
    if (error instanceof RefusedError) return { name: error.errorName, message: error.message };
    if (!MantaError.is(error)) throw error;
    const { name, message } = error as MantaError;
    if (name === 'ProtocolError') this.#countInvalid(operation, message);
    return { name, message };
  }

  #countInvalid(operation: string, message: string): void {
    this.counters.invalidMessages++;
    this.#logger.warn({ operation, error: message }, 'invalid message refused');
  }

  #onHeartbeat(payload: Uint8Array, reply: ((payload: Uint8Array) => void) | undefined): void {
    this.counters.heartbeats++;
    try {
      const heartbeat = decodeControl(Heartbeat, payload);
      if (this.cluster.nodes.beats(heartbeat)) this.#heard(heartbeat.nodeId);
      else this.#askToRegister();
    } catch (error) {
      if (!MantaError.is(error)) throw error;
      this.#countInvalid('heartbeat', (error as MantaError).message);
    }
    reply?.(encodeControl({ ok: true }));
  }

  #heard(nodeId: NodeId): void {
    this.#outboxes.get(nodeId)?.hurry();
    this.#health.heard(nodeId);
  }

  /** The broker says that a node's connection has ended: it may be gone. */
  nodeDisconnected(nodeId: NodeId): void {
    if (!this.#isClosed) this.#health.doubt(nodeId, 'its connection to the broker has closed');
  }

  #newHealth(): NodeHealth {
    const { transport, clock } = this.#options;
    return new NodeHealth({
      cluster: this.cluster,
      times: this.times,
      transport,
      clock,
      subjects: this.#subjects,
      logger: this.#logger,
      onChanged: () => this.#scheduleTurn(),
      onAnswered: (nodeId) => this.#heard(nodeId),
      onUnheard: (nodeId) => this.#takeBackStarts(nodeId),
      onInvalidAnswer: (message) => this.#countInvalid('ping', message),
    });
  }

  #takeBackStarts(nodeId: NodeId): void {
    const outbox = this.#outboxes.get(nodeId);
    const unheard = outbox?.unheard ?? [];
    const taken = takeBackStarts(this.cluster, nodeId, unheard, this.#options.clock.now());
    if (taken.size === 0) return;
    outbox?.withdraw(taken);
    this.#scheduleTurn();
  }

  /**
   * A node that this head does not know beats: it missed that a head has started, or that it was declared dead. All
   * processes hear the call and report again, so it is not made often.
   */
  #askToRegister(): void {
    const now = this.#options.clock.now();
    if (now - this.#lastHeadStartedAt >= this.times.suspectAfterMs) this.#announceStart();
  }

  #announceStart(): void {
    const { transport, clock, epoch } = this.#options;
    this.#lastHeadStartedAt = clock.now();
    if (transport.status === 'connected') {
      transport.publish(this.#subjects.headStarted, encodeControl({ epoch }));
    }
  }

  #tick(): void {
    const now = this.#options.clock.now();
    this.#health.tick(now);
    runDeadlines(this.cluster, now);
    if (this.cluster.schedulingIsDue || hasEffects(this.cluster.effects)) this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnIsDue || this.#isClosed) return;
    this.#turnIsDue = true;
    this.#defer(() => this.#turn());
  }

  /** Everything since the last turn: place, write, then let out what it caused. */
  #turn(): void {
    if (this.#isClosed) return;
    this.#turnIsDue = false;
    this.counters.turns++;
    settleCluster(this.cluster, this.#options.clock.now());
    const effects = this.cluster.takeEffects();
    const answers = this.#answers;
    this.#answers = [];
    const announcements = this.#encodeAnnouncements(effects);
    const release = () => {
      for (const answer of answers) answer();
      for (const [subject, payload] of announcements)
        this.#options.transport.publish(subject, payload);
      this.#carryOut(effects);
    };
    this.#writeThen(effects, release);
  }

  #writeThen(effects: Effects, release: () => void): void {
    const { store } = this.#options;
    const isWritten = store !== undefined && saveEffects(this.cluster, store, effects);
    if (store === undefined || (!isWritten && this.#commitsUnderWay === 0)) {
      release();
      return;
    }
    this.#commitsUnderWay++;
    this.counters.commits++;
    store
      .commit()
      .then(() => {
        this.#commitsUnderWay--;
        release();
      })
      .catch((error: unknown) => this.#fail(error));
  }

  /** Tables and store differ from here on: better no head than one that forgets what it promised. */
  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#logger.error({ error: String(error) }, 'the head cannot write its state and stops');
    this.#isClosed = true;
    this.#health.close();
    for (const cancel of this.#cancels) cancel();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    for (const outbox of this.#outboxes.values()) outbox.close();
    this.#options.onFatal?.(error);
  }

  /** Now, not when they are sent: what comes later must not be seen before it is written. */
  #encodeAnnouncements(effects: Effects): [subject: string, payload: Uint8Array][] {
    const encoded: [string, Uint8Array][] = [];
    for (const [processId, actorIds] of effects.announcements) {
      const subject = this.#subjects.processUpdates(processId);
      for (const updates of this.#updateBatches(processId, actorIds)) {
        encoded.push([subject, encodeControl({ updates })]);
      }
    }
    return encoded;
  }

  *#updateBatches(_processId: ProcessId, actorIds: ReadonlySet<string>) {
    let updates: ReturnType<typeof actorUpdateOf>[] = [];
    let bytes = 0;
    for (const actorId of actorIds) {
      const entry = this.cluster.actors.get(actorId as never);
      if (entry === undefined) continue;
      const update = actorUpdateOf(entry.record);
      updates.push(update);
      bytes += UPDATE_BYTES + (update.encodedError?.length ?? 0);
      if (bytes < UPDATES_BYTES_MAX) continue;
      yield updates;
      updates = [];
      bytes = 0;
    }
    if (updates.length > 0) yield updates;
  }

  #carryOut(effects: Effects): void {
    for (const nodeId of effects.watchedNodes) this.#health.watch(nodeId);
    for (const [nodeId, commands] of effects.commands) this.#command(nodeId, commands);
    for (const nodeId of effects.lostNodes) {
      this.#health.forget(nodeId);
      this.#outboxes.get(nodeId)?.close();
      this.#outboxes.delete(nodeId);
      this.#options.transport.publish(this.#subjects.nodeDied, encodeControl({ nodeId }));
    }
  }

  #command(nodeId: NodeId, commands: readonly NodeCommand[]): void {
    if (this.#isClosed || this.cluster.nodes.get(nodeId)?.record.state === 'dead') return;
    let outbox = this.#outboxes.get(nodeId);
    if (outbox === undefined) {
      const { transport, clock, epoch } = this.#options;
      const subject = this.#subjects.node(nodeId, 'commands');
      const timeoutMs = Math.max(1_000, this.times.pingTimeoutMs);
      outbox = new NodeOutbox({
        nodeId,
        subject,
        epoch,
        transport,
        clock,
        logger: this.#logger,
        timeoutMs,
        onDoubt: () => this.#health.probe(nodeId),
      });
      this.#outboxes.set(nodeId, outbox);
    }
    outbox.send(commands);
  }
}

function isOperation(text: string): text is HeadOperation {
  return (HEAD_OPERATIONS as readonly string[]).includes(text);
}
