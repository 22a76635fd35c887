import * as v from 'valibot';
import { LIMITS } from './limits.ts';
import { ObjectStoreState } from './object-store-state.ts';
import { amount, bytes, count, errorBytes, id, name, smallRecord } from './schema-parts.ts';

/**
 * Every control message, as schema and type in one. Objects drop keys they do not know, so a node of the next minor
 * version can talk to a head of this one; what a field means never changes within a protocol version.
 */
export const PROTOCOL_VERSION = 1;

// ── Resources ────────────────────────────────────────────────────────────────────────────────────────────────
/** As the public contract says it: plain numbers. Inside head and agent they are fixed point (resources/). */
export const ResourceAmounts = v.object({
  cpus: v.optional(amount),
  gpus: v.optional(amount),
  memoryBytes: v.optional(amount),
  resources: v.optional(smallRecord(amount)),
});
export type ResourceAmounts = v.InferOutput<typeof ResourceAmounts>;

export const GpuDevice = v.object({ index: count, uuid: name, model: name, memoryBytes: count });
export type GpuDevice = v.InferOutput<typeof GpuDevice>;

/** What a node can offer in total. */
export const NodeCapacity = v.object({
  cpus: amount,
  memoryBytes: amount,
  resources: smallRecord(amount),
  gpus: v.array(GpuDevice),
});
export type NodeCapacity = v.InferOutput<typeof NodeCapacity>;

export const DeathCauseSchema = v.object({
  kind: name,
  message: v.pipe(v.string(), v.maxLength(LIMITS.causeLength)),
  exitCode: v.exactOptional(v.number()),
  signal: v.exactOptional(v.string()),
  nodeId: v.exactOptional(v.string()),
});

// ── Actors ───────────────────────────────────────────────────────────────────────────────────────────────────
export const Scheduling = v.union([
  v.picklist(['hybrid', 'spread']),
  v.object({ nodeId: v.string(), soft: v.optional(v.boolean()) }),
]);

/** What placing needs to know. */
export const Demand = v.object({
  resources: ResourceAmounts,
  gpuMemoryBytes: v.optional(count),
  acceleratorType: v.optional(name),
  labels: v.optional(smallRecord(v.string())),
  scheduling: v.optional(Scheduling),
});
export type Demand = v.InferOutput<typeof Demand>;

/** Where a worker finds a class: the module that defines it and the name it was defined under. */
export const ClassReference = v.object({ moduleUrl: v.string(), exportKey: name });
export type ClassReference = v.InferOutput<typeof ClassReference>;

export const Isolation = v.picklist(['process', 'thread', 'shared']);
export type Isolation = v.InferOutput<typeof Isolation>;

/** `stream`: the method is a generator, so its result is an ObjectRefStream. A method's number is its index. */
export const MethodEntry = v.object({ name, stream: v.boolean() });
export type MethodEntry = v.InferOutput<typeof MethodEntry>;

const callSettings = {
  maxTaskRetries: v.pipe(v.number(), v.integer(), v.minValue(-1)),
  retryExceptions: v.optional(v.union([v.boolean(), v.array(v.string())])),
  maxPendingCalls: v.optional(count),
  allowOutOfOrderExecution: v.optional(v.boolean()),
};
/** How an actor wants to be called, as its handles carry it: a setting that is not there has its default. */
export const CallSettings = v.partial(v.object(callSettings));
export type CallSettings = v.InferOutput<typeof CallSettings>;

/** Everything that is fixed when an actor is created; kept for its restarts. */
export const ActorSpec = v.object({
  actorId: id('actor'),
  /**
   * 'task-worker': a lease, an internal actor that runs tasks of one shape (docs/protocol.md, Leases). What differs
   * from an actor: it has isolation 'process', lifetime 'job', no name and no restarts (else `actor.create` refuses
   * it); it is in no list of actors; nothing of it is written to disk, for its node reports it to a new head; it can
   * be given back (`actor.kill` with `returned`), which leaves its process to the next lease of its job with an equal
   * `env`, unless it had GPUs; its CPUs are lent to others while it is blocked.
   */
  kind: v.optional(v.literal('task-worker')),
  jobId: id('job'),
  /** The process that created it; with lifetime 'job' the actor dies with it. */
  ownerId: id('process'),
  className: name,
  classReference: ClassReference,
  methods: v.pipe(v.array(MethodEntry), v.maxLength(LIMITS.methods)),
  /** The constructor's arguments, encoded by the value codec as one array. */
  encodedArgs: bytes,
  /** By their index: arguments that stand there as refs, and of which the constructor gets the values. */
  openedArgs: v.optional(v.array(count)),
  /** Its creator keeps objects that the constructor needs: it hears of the actor's end also without a handle. */
  needsOwner: v.optional(v.boolean()),
  /** Registered while its constructor waits for refs: it has no arguments, nor a place, before `actor.arguments`. */
  awaitsArguments: v.optional(v.literal(true)),
  namespace: name,
  name: v.optional(name),
  getIfExists: v.optional(v.boolean()),
  lifetime: v.picklist(['job', 'detached']),
  isolation: Isolation,
  maxRestarts: v.pipe(v.number(), v.integer(), v.minValue(-1)),
  ...callSettings,
  maxConcurrency: v.pipe(v.number(), v.integer(), v.minValue(1)),
  concurrencyGroups: v.optional(smallRecord(count)),
  concurrencyGroupOf: v.optional(smallRecord(name)),
  gracefulShutdownMs: count,
  env: v.optional(v.record(v.string(), v.string())),
  /** How long its module may load. */
  setupTimeoutMs: v.optional(count),
  demand: Demand,
  schedulingTimeoutMs: v.optional(count),
});
export type ActorSpec = v.InferOutput<typeof ActorSpec>;

/** How a process can be reached: by the socket when on the same machine, else by TCP, else through NATS. */
export const ProcessAddress = v.object({
  processId: id('process'),
  nodeId: v.optional(id('node')),
  /** Same value = same machine and same file system. */
  machineId: v.string(),
  socketPath: v.optional(v.string()),
  tcp: v.optional(v.object({ host: v.string(), port: count })),
});
export type ProcessAddress = v.InferOutput<typeof ProcessAddress>;

/** `event.node-died` */
export const NodeDied = v.object({ nodeId: id('node') });
export type NodeDied = v.InferOutput<typeof NodeDied>;

export const ActorState = v.picklist(['pending', 'alive', 'restarting', 'dead']);
export type ActorState = v.InferOutput<typeof ActorState>;

/** What the head tells those who hold a handle. `revision` grows with each change: older updates are ignored. */
export const ActorUpdate = v.object({
  actorId: id('actor'),
  revision: count,
  state: ActorState,
  /** Number of the life, from 0; it grows with every restart. */
  incarnation: count,
  address: v.optional(ProcessAddress),
  deathCause: v.optional(DeathCauseSchema),
  /** With 'dead' by a failed constructor: the encoded error (serialization/error-codec). */
  encodedError: v.optional(errorBytes),
  /** With 'dead' because no node can hold it. */
  perNode: v.optional(v.record(v.string(), v.string())),
  /** 'infeasible' and 'scheduling-timeout' are told apart by errorName: the class to throw. */
  errorName: v.optional(v.string()),
  /**
   * Of a lease that is 'alive': others wait for what it takes. Its holder gives it back as soon as no call of it runs,
   * even with tasks left (it may ask for another at once, which then stands behind those who waited).
   */
  wanted: v.optional(v.boolean()),
});
export type ActorUpdate = v.InferOutput<typeof ActorUpdate>;
export const ActorUpdates = v.object({
  updates: v.array(ActorUpdate),
  /**
   * From an agent: a process that starts what the receiver asked for, or waits on its machine for an actor. The channel
   * to it can be opened ahead of the first call.
   */
  host: v.optional(ProcessAddress),
});

/** What somebody needs to build a handle. */
export const ActorDescription = v.object({
  actorId: id('actor'),
  className: name,
  namespace: name,
  name: v.optional(name),
  methods: v.array(MethodEntry),
  ...callSettings,
  update: ActorUpdate,
});
export type ActorDescription = v.InferOutput<typeof ActorDescription>;

// ── Head requests and replies ────────────────────────────────────────────────────────────────────────────────
export const DiscoverReply = v.object({
  clusterId: id('cluster'),
  epoch: v.string(),
  /** The head's clock when it answered, in milliseconds since the epoch: how far apart two machines' clocks are. */
  now: v.exactOptional(v.number()),
});

/** One of the lives that an actor has, one after the other. */
export const ActorLife = v.object({ actorId: id('actor'), incarnation: count });
export type ActorLife = v.InferOutput<typeof ActorLife>;

/** An actor as its node sees it, for reports and for reconciliation after a head restart. */
export const HostedActor = v.object({
  actorId: id('actor'),
  incarnation: count,
  address: ProcessAddress,
  pid: count,
});
export type HostedActor = v.InferOutput<typeof HostedActor>;

/** A task worker with what the head needs to know it again. Those that are alive are in `hosts` too. */
export const LeaseReport = v.object({
  spec: ActorSpec,
  incarnation: count,
  gpuIndexes: v.array(count),
  isBlocked: v.boolean(),
  /** It was given back; its process keeps the device for as long as others need what it owns. */
  isRetiring: v.optional(v.boolean()),
});
export type LeaseReport = v.InferOutput<typeof LeaseReport>;

const NodeRegisterFields = v.object({
  nodeId: id('node'),
  /** Changes with each start of the agent process. */
  sessionId: v.string(),
  name,
  pid: count,
  hostname: v.string(),
  machineId: v.string(),
  capacity: NodeCapacity,
  labels: smallRecord(v.string()),
  /** Where the agent itself takes channels (driver liveness links). */
  address: ProcessAddress,
  /** What runs there now. */
  actors: v.array(HostedActor),
  /** The same in short, for what shares an address: 100 000 actors of a few hosts must fit into one message. */
  hosts: v.optional(
    v.array(
      v.object({
        address: ProcessAddress,
        pid: count,
        actors: v.array(v.tuple([id('actor'), count])),
      }),
    ),
  ),
  /** Driver processes whose liveness link ends at this node. */
  drivers: v.array(id('process')),
  /** All task workers there, starting or alive: a head that was started meanwhile knows them from here alone. */
  leases: v.optional(v.array(LeaseReport)),
  /** Living host processes without an actor that may own something: task hosts between two leases. */
  idleHosts: v.optional(v.array(id('process'))),
});
/** As it is sent; read, it has all its actors in `actors`. */
export type NodeRegisterInput = v.InferInput<typeof NodeRegisterFields>;
export interface NodeRegister extends Omit<v.InferOutput<typeof NodeRegisterFields>, 'hosts'> {}
export const NodeRegister: v.GenericSchema<NodeRegisterInput, NodeRegister> = v.pipe(
  NodeRegisterFields,
  v.transform(({ hosts = [], ...message }): NodeRegister => {
    const hosted = hosts.flatMap(({ address, pid, actors }) =>
      actors.map(([actorId, incarnation]): HostedActor => ({ actorId, incarnation, address, pid })),
    );
    return hosted.length === 0 ? message : { ...message, actors: message.actors.concat(hosted) };
  }),
);
/** `refused`: the node must kill its actors and take a new node id (it was declared dead). */
export const NodeRegisterReply = v.object({
  epoch: v.string(),
  refused: v.optional(v.string()),
  heartbeatIntervalMs: count,
  /** Without contact to the head for so long, the node kills its own actors. */
  fencingTimeoutMs: count,
  /** Actors that the head no longer wants there. */
  killActors: v.array(ActorLife),
});
export type NodeRegisterReply = v.InferOutput<typeof NodeRegisterReply>;

export const Heartbeat = v.object({
  nodeId: id('node'),
  sessionId: v.string(),
  sequence: count,
  objectStore: v.exactOptional(ObjectStoreState),
  /** Channels to processes of the node that were refused so far: bad tokens, malformed or oversized frames. */
  refusedChannels: v.exactOptional(count),
});
export type Heartbeat = v.InferOutput<typeof Heartbeat>;

/** What happened on a node; sent in order, again until acknowledged, so the head must tolerate repeats. */
export const NodeEvent = v.variant('type', [
  v.object({ type: v.literal('actor-started'), actor: HostedActor }),
  v.object({
    type: v.literal('actor-ended'),
    actorId: id('actor'),
    incarnation: count,
    cause: DeathCauseSchema,
    encodedError: v.optional(errorBytes),
  }),
  /** A driver linked to this node is gone, or a host process with all that it owned. */
  v.object({ type: v.literal('process-ended'), processId: id('process'), cause: DeathCauseSchema }),
  v.object({ type: v.literal('driver-linked'), processId: id('process') }),
  /** The task of a task worker waits for others: its CPUs, and nothing else of it, are lent until `unblocked`. */
  v.object({ type: v.literal('actor-blocked'), actorId: id('actor'), incarnation: count }),
  /** It goes on: its CPUs are its own again, also when that takes more than the node has for a while. */
  v.object({ type: v.literal('actor-unblocked'), actorId: id('actor'), incarnation: count }),
]);
export type NodeEvent = v.InferOutput<typeof NodeEvent>;
export const NodeReport = v.object({
  nodeId: id('node'),
  sessionId: v.string(),
  /** Number of the first event; an event already seen is skipped. */
  firstSequence: count,
  events: v.array(NodeEvent),
});
export type NodeReport = v.InferOutput<typeof NodeReport>;

export const NodeDrain = v.object({
  nodeId: id('node'),
  deadlineMs: v.optional(count),
  reason: v.optional(v.string()),
});
export const NodeDeregister = v.object({
  nodeId: id('node'),
  sessionId: v.string(),
  reason: v.string(),
});

/** Every reply of the head is one of these. */
export const ErrorReply = v.object({ error: v.object({ name: v.string(), message: v.string() }) });

// ── Requests to a node ───────────────────────────────────────────────────────────────────────────────────────
export const NodeCommand = v.variant('type', [
  v.object({
    type: v.literal('start-actor'),
    spec: ActorSpec,
    incarnation: count,
    /** Lives that it has had; absent: as many as incarnations. Some are lost with their node before they live. */
    restarts: v.optional(count),
    /** Devices this actor may use, in order; empty without GPUs. */
    gpuIndexes: v.array(count),
  }),
  v.object({
    type: v.literal('end-actor'),
    actorId: id('actor'),
    incarnation: count,
    /**
     * `kill` is immediate; `stop` finishes what is queued, within the actor's gracefulShutdownMs; `return`, of a task
     * worker, ends the lease and leaves its process to the next one.
     */
    how: v.picklist(['kill', 'stop', 'return']),
    cause: DeathCauseSchema,
  }),
  /** The job is over: the node ends what it kept for it, the hosts between two leases. */
  v.object({ type: v.literal('end-job'), jobId: id('job') }),
]);
export type NodeCommand = v.InferOutput<typeof NodeCommand>;
/** Sent as one request per turn; repeats are recognised by actor and incarnation. */
export const NodeCommands = v.object({ epoch: v.string(), commands: v.array(NodeCommand) });
export type NodeCommands = v.InferOutput<typeof NodeCommands>;
export const Acknowledgement = v.object({ ok: v.literal(true) });

export const NodePingReply = v.object({ nodeId: id('node'), sessionId: v.string() });
