import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId, ClusterId, JobId, MintId, NodeId, ProcessId } from '@manta/runtime/ids';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';
import {
  NodeCommands,
  NodeRegisterReply,
  type ActorSpec,
  type HostedActor,
  type NodeCapacity,
  type NodeCommand,
  type NodeEvent,
  type ProcessAddress,
} from '@manta/runtime/wire/messages';
import { subjectsOf, type HeadOperation, type Subjects } from '@manta/runtime/wire/subjects';

export interface FakeAgentOptions {
  readonly clusterId: ClusterId;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly mint: MintId;
  readonly capacity?: Partial<NodeCapacity>;
  readonly labels?: Record<string, string>;
  readonly hostname?: string;
  /** What the constructor does: undefined lets it succeed, a cause is how it ends. Default: succeeds. */
  readonly construct?: (spec: ActorSpec, incarnation: number) => DeathCause | undefined;
  /** How long it takes from the command to the end of the constructor. Default 1. */
  readonly startMs?: () => number;
  /** Leases with a device that are given back stay until somebody ends them. Default: they are over at once. */
  readonly retires?: boolean;
}

export interface LivingActor extends HostedActor {
  readonly spec: ActorSpec;
  readonly gpuIndexes: readonly number[];
  isStarted: boolean;
  /** Of a task worker: its task waits. */
  isBlocked: boolean;
  /** Of a task worker with a device that was given back: its process is still needed. */
  isRetiring?: boolean;
}

/** An agent without processes: it speaks the whole protocol, fences itself, and lets tests play its actors. */
export class FakeAgent {
  readonly #options: FakeAgentOptions;
  readonly #subjects: Subjects;
  /** What lives here, in its constructor or beyond. */
  readonly living = new Map<ActorId, LivingActor>();
  /** Actors whose constructor has ever finished here. */
  readonly everStarted = new Set<ActorId>();
  readonly #newestIncarnation = new Map<ActorId, number>();
  readonly drivers = new Set<ProcessId>();
  /** Processes of leases that were given back, and whose job they are of; the next lease of the job takes one. */
  readonly idleHosts = new Map<ProcessId, JobId>();
  /** Each command that was new here, for assertions. */
  readonly commands: NodeCommand[] = [];
  nodeId: NodeId;
  fencedCount = 0;
  isDead = false;
  #sessionId = 'session-1';
  #isRegistered = false;
  #isRegistering = false;
  #epoch = '';
  #events: NodeEvent[] = [];
  #firstSequence = 1;
  #isReporting = false;
  #lastContactAt: number;
  #fencingTimeoutMs = Number.POSITIVE_INFINITY;
  #sequence = 0;
  #cancels: (() => void)[] = [];
  #unsubscribes: (() => void)[] = [];

  constructor(options: FakeAgentOptions) {
    this.#options = options;
    this.#subjects = subjectsOf(options.clusterId);
    this.nodeId = options.mint('node');
    this.#lastContactAt = options.clock.now();
    const started = options.transport.subscribe(this.#subjects.headStarted, () => this.#register());
    this.#unsubscribes.push(() => started.unsubscribe());
    options.transport.onStatus((status) => {
      if (status === 'connected') this.#register();
    });
    this.#listen();
    this.#register();
    this.#cancels.push(options.clock.every(100, () => this.#beat(), { unref: true }));
  }

  get isRegistered(): boolean {
    return this.#isRegistered;
  }

  /** The machine is gone: nothing runs, nothing is said. */
  async die(): Promise<void> {
    this.isDead = true;
    this.living.clear();
    for (const cancel of this.#cancels) cancel();
    await this.#options.transport.close();
  }

  /** An actor's life ends by itself. */
  end(actorId: ActorId, cause: DeathCause, encodedError?: Uint8Array): void {
    const actor = this.living.get(actorId);
    if (actor === undefined) return;
    this.living.delete(actorId);
    const { incarnation } = actor;
    this.report(
      encodedError === undefined
        ? { type: 'actor-ended', actorId, incarnation, cause }
        : { type: 'actor-ended', actorId, incarnation, cause, encodedError },
    );
  }

  report(event: NodeEvent): void {
    this.#events.push(event);
    void this.#sendReports();
  }

  linkDriver(processId: ProcessId): void {
    this.drivers.add(processId);
    this.report({ type: 'driver-linked', processId });
  }

  addressOf(processId: ProcessId): ProcessAddress {
    return { processId, nodeId: this.nodeId, machineId: 'machine', socketPath: '/run/fake.sock' };
  }

  #listen(): void {
    const { transport } = this.#options;
    const commands = transport.subscribe(
      this.#subjects.node(this.nodeId, 'commands'),
      (payload, _subject, reply) => {
        // Before it is registered it knows no fencing time: whatever it started could outlive it unseen.
        if (this.isDead || !this.#isRegistered) return;
        for (const command of decodeControl(NodeCommands, payload).commands) this.#obey(command);
        reply?.(encodeControl({ ok: true }));
      },
    );
    const ping = transport.subscribe(
      this.#subjects.node(this.nodeId, 'ping'),
      (_payload, _subject, reply) => {
        if (!this.isDead)
          reply?.(encodeControl({ nodeId: this.nodeId, sessionId: this.#sessionId }));
      },
    );
    this.#unsubscribes.push(
      () => commands.unsubscribe(),
      () => ping.unsubscribe(),
    );
  }

  #obey(command: NodeCommand): void {
    if (command.type === 'end-actor') {
      const actor = this.living.get(command.actorId);
      this.commands.push(command);
      if (actor?.incarnation !== command.incarnation) return;
      const isReturned = command.how === 'return';
      if (isReturned && this.#options.retires && actor.gpuIndexes.length > 0) {
        actor.isRetiring = true;
        return;
      }
      if (isReturned) this.idleHosts.set(actor.address.processId, actor.spec.jobId);
      this.end(command.actorId, command.cause);
      return;
    }
    if (command.type === 'end-job') {
      this.commands.push(command);
      this.#endIdleHosts(command.jobId);
      return;
    }
    const { spec, incarnation, gpuIndexes } = command;
    // A repeat may come after the incarnation has ended: that must not start it again.
    if ((this.#newestIncarnation.get(spec.actorId) ?? -1) >= incarnation) {
      this.#repeatEnd(spec, incarnation);
      return;
    }
    this.#newestIncarnation.set(spec.actorId, incarnation);
    this.commands.push(command);
    const address = this.addressOf(this.#hostFor(spec));
    const actor = {
      actorId: spec.actorId,
      incarnation,
      address,
      pid: 1,
      spec,
      gpuIndexes,
      isStarted: false,
      isBlocked: false,
    };
    this.living.set(spec.actorId, actor);
    this.#options.clock.after(this.#options.startMs?.() ?? 1, () => this.#finishStart(actor));
  }

  /** Asked to start what is over: the head may not have heard of it. */
  #repeatEnd(spec: ActorSpec, incarnation: number): void {
    if (spec.kind !== 'task-worker' || this.living.has(spec.actorId)) return;
    const cause = { kind: 'process-died', message: 'it ended before' };
    this.report({ type: 'actor-ended', actorId: spec.actorId, incarnation, cause });
  }

  #hostFor(spec: ActorSpec): ProcessId {
    for (const [processId, jobId] of this.idleHosts) {
      if (spec.kind !== 'task-worker' || jobId !== spec.jobId) continue;
      this.idleHosts.delete(processId);
      return processId;
    }
    return this.#options.mint('process');
  }

  #endIdleHosts(jobId?: JobId): void {
    for (const [processId, host] of [...this.idleHosts]) {
      if (jobId !== undefined && host !== jobId) continue;
      this.idleHosts.delete(processId);
      const cause = { kind: 'exited', message: 'nobody needed it any more' };
      this.report({ type: 'process-ended', processId, cause });
    }
  }

  /** The task of a task worker begins or ends to wait for others. */
  setBlocked(actorId: ActorId, isBlocked: boolean): void {
    const actor = this.living.get(actorId);
    if (!actor?.isStarted || actor.isBlocked === isBlocked) return;
    actor.isBlocked = isBlocked;
    const { incarnation } = actor;
    this.report({ type: isBlocked ? 'actor-blocked' : 'actor-unblocked', actorId, incarnation });
  }

  #finishStart(actor: LivingActor): void {
    if (this.isDead || this.living.get(actor.actorId) !== actor) return;
    const failure = this.#options.construct?.(actor.spec, actor.incarnation);
    if (failure !== undefined) {
      this.end(actor.actorId, failure, Uint8Array.of(1));
      return;
    }
    actor.isStarted = true;
    this.everStarted.add(actor.actorId);
    this.report({ type: 'actor-started', actor: hostedOf(actor) });
  }

  #beat(): void {
    const { clock, transport } = this.#options;
    if (this.isDead) return;
    if (clock.now() - this.#lastContactAt > this.#fencingTimeoutMs && this.living.size > 0)
      this.#fence();
    if (transport.status !== 'connected') return;
    this.#sequence++;
    const { nodeId } = this;
    const heartbeat = { nodeId, sessionId: this.#sessionId, sequence: this.#sequence };
    transport.publish(this.#subjects.heartbeat, encodeControl(heartbeat));
    if (this.#isRegistered) void this.#sendReports(true);
    else this.#register();
  }

  #fence(): void {
    this.fencedCount++;
    this.#endIdleHosts();
    for (const actorId of [...this.living.keys()]) {
      this.end(actorId, { kind: 'killed', message: 'fenced', nodeId: this.nodeId });
    }
  }

  async #sendReports(isKeepAlive = false): Promise<void> {
    if (this.#isReporting || !this.#isRegistered || this.isDead) return;
    if (this.#events.length === 0 && !isKeepAlive) return;
    this.#isReporting = true;
    let isTaken = false;
    const events = this.#events.slice(0, 1_000);
    try {
      const { nodeId } = this;
      const report = {
        nodeId,
        sessionId: this.#sessionId,
        firstSequence: this.#firstSequence,
        events,
      };
      const reply = await this.#request('node.report', report);
      if (reply === 'refused') this.#register();
      else {
        this.#events.splice(0, events.length);
        this.#firstSequence += events.length;
        isTaken = true;
      }
    } catch {
      // Sent again with the next beat.
    } finally {
      this.#isReporting = false;
    }
    if (isTaken && this.#events.length > 0) void this.#sendReports();
  }

  #register(): void {
    if (this.#isRegistering || this.isDead) return;
    this.#isRegistering = true;
    this.#isRegistered = false;
    void this.#tryRegister().finally(() => {
      this.#isRegistering = false;
    });
  }

  async #tryRegister(): Promise<void> {
    const { clock, hostname, labels, capacity, transport } = this.#options;
    const sentAt = clock.now();
    const message = {
      nodeId: this.nodeId,
      sessionId: this.#sessionId,
      name: 'fake',
      pid: 1,
      hostname: hostname ?? 'host',
      machineId: 'machine',
      capacity: { cpus: 4, memoryBytes: 2 ** 30, resources: {}, gpus: [], ...capacity },
      labels: labels ?? {},
      address: this.addressOf(this.#options.mint('process')),
      actors: [...this.living.values()].filter(({ isStarted }) => isStarted).map(hostedOf),
      drivers: [...this.drivers],
      leases: [...this.living.values()]
        .filter(({ spec }) => spec.kind === 'task-worker')
        .map(({ spec, incarnation, gpuIndexes, isBlocked, isRetiring }) => ({
          spec,
          incarnation,
          gpuIndexes,
          isBlocked,
          isRetiring,
        })),
      idleHosts: [...this.idleHosts.keys()],
    };
    let payload: Uint8Array;
    try {
      payload = await transport.request(
        this.#subjects.head('node.register'),
        encodeControl(message),
        {
          timeoutMs: 1_000,
        },
      );
    } catch {
      return;
    }
    if (this.isDead) return;
    const reply = decodeControl(NodeRegisterReply, payload);
    this.#lastContactAt = Math.max(this.#lastContactAt, sentAt);
    this.#fencingTimeoutMs = reply.fencingTimeoutMs;
    this.#epoch = reply.epoch;
    if (reply.refused !== undefined) this.#beginAnew();
    else this.#isRegistered = true;
    for (const { actorId, incarnation } of reply.killActors) {
      if (this.living.get(actorId)?.incarnation === incarnation) {
        this.end(actorId, { kind: 'killed', message: 'not wanted any more' });
      }
    }
    void this.#sendReports();
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** Declared dead: everything here is ended before the node comes back under another id. */
  #beginAnew(): void {
    this.living.clear();
    this.idleHosts.clear();
    this.#events = [];
    this.#firstSequence = 1;
    for (const unsubscribe of this.#unsubscribes.splice(1)) unsubscribe();
    this.nodeId = this.#options.mint('node');
    this.#listen();
    // The next beat registers it.
  }

  async #request(operation: HeadOperation, message: unknown): Promise<'taken' | 'refused'> {
    const { clock, transport } = this.#options;
    const sentAt = clock.now();
    const reply = await transport.request(this.#subjects.head(operation), encodeControl(message), {
      timeoutMs: 1_000,
    });
    // A head that does not know this node may be giving its actors away: that is no proof of contact.
    if (isErrorReply(reply)) return 'refused';
    this.#lastContactAt = Math.max(this.#lastContactAt, sentAt);
    return 'taken';
  }
}

function hostedOf({ actorId, incarnation, address, pid }: LivingActor): HostedActor {
  return { actorId, incarnation, address, pid };
}

function isErrorReply(payload: Uint8Array): boolean {
  return Buffer.from(payload).includes('error');
}
