import {
  createIdMint,
  type ActorId,
  type JobId,
  type MintId,
  type NodeId,
} from '@manta/runtime/ids';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import type { Transport } from '@manta/runtime/transport/transport';
import {
  Heartbeat,
  NodeDeregister,
  NodeDrain,
  NodePingReply,
  NodeRegister,
  NodeReport,
  type ActorSpec,
  type Isolation,
  type NodeCommand,
  type NodeEvent,
} from '@manta/runtime/wire/messages';
import {
  DISCOVER_SUBJECT,
  subjectsOf,
  type NodeOperation,
  type Subjects,
} from '@manta/runtime/wire/subjects';

/** A head for tests of the agent: accepts nodes, keeps what they report, and sends the commands that tests give it. */
export class FakeHead {
  readonly registrations: NodeRegister[] = [];
  readonly heartbeats: Heartbeat[] = [];
  readonly events: NodeEvent[] = [];
  readonly goodbyes: NodeId[] = [];
  readonly drains: { nodeId: NodeId }[] = [];
  heartbeatIntervalMs = 50;
  fencingTimeoutMs = 60_000;
  epoch = 'epoch-1';
  /** Nodes that are answered with `refused`. */
  readonly deadNodes = new Set<NodeId>();
  killActors: { actorId: ActorId; incarnation: number }[] = [];
  /** Answers reports with an error while set. */
  refusesReports = false;
  readonly subjects: Subjects;
  readonly transport: Transport;
  private readonly clusterId: string;
  private readonly lastSequence = new Map<string, number>();

  private constructor(transport: Transport, clusterId: string) {
    this.transport = transport;
    this.clusterId = clusterId;
    this.subjects = subjectsOf(clusterId);
  }

  static async start(url: string, token: string, mintId: MintId = testMint): Promise<FakeHead> {
    const transport = await connectNats({ servers: [url], token, name: 'fake head' });
    const head = new FakeHead(transport, mintId('cluster'));
    head.listen();
    await transport.flush();
    return head;
  }

  command(nodeId: NodeId, ...commands: NodeCommand[]): Promise<unknown> {
    return this.ask(nodeId, 'commands', { epoch: this.epoch, commands });
  }

  async ask(nodeId: NodeId, operation: NodeOperation, message: unknown): Promise<Uint8Array> {
    const subject = this.subjects.node(nodeId, operation);
    return this.transport.request(subject, encodeControl(message), { timeoutMs: 2_000 });
  }

  async ping(nodeId: NodeId): Promise<string> {
    return decodeControl(NodePingReply, await this.ask(nodeId, 'ping', {})).sessionId;
  }

  announceStart(): void {
    this.transport.publish(this.subjects.headStarted, encodeControl({ epoch: this.epoch }));
  }

  eventsOf<T extends NodeEvent['type']>(type: T): Extract<NodeEvent, { type: T }>[] {
    return this.events.filter(
      (event): event is Extract<NodeEvent, { type: T }> => event.type === type,
    );
  }

  close(): Promise<void> {
    return this.transport.close();
  }

  private listen(): void {
    const { transport, subjects } = this;
    transport.subscribe(DISCOVER_SUBJECT, (_payload, _subject, reply) =>
      reply?.(encodeControl({ clusterId: this.clusterId, epoch: this.epoch })),
    );
    transport.subscribe(subjects.head('node.register'), (payload, _subject, reply) =>
      reply?.(this.register(decodeControl(NodeRegister, payload))),
    );
    transport.subscribe(subjects.head('node.report'), (payload, _subject, reply) => {
      if (this.refusesReports) {
        reply?.(encodeControl({ error: { name: 'ProtocolError', message: 'unknown node' } }));
        return;
      }
      this.takeReport(decodeControl(NodeReport, payload));
      reply?.(encodeControl({ ok: true }));
    });
    transport.subscribe(subjects.head('node.deregister'), (payload, _subject, reply) => {
      this.goodbyes.push(decodeControl(NodeDeregister, payload).nodeId);
      reply?.(encodeControl({ ok: true }));
    });
    transport.subscribe(subjects.head('node.drain'), (payload, _subject, reply) => {
      this.drains.push(decodeControl(NodeDrain, payload));
      reply?.(encodeControl({ ok: true }));
    });
    transport.subscribe(subjects.heartbeat, (payload) => {
      this.heartbeats.push(decodeControl(Heartbeat, payload));
    });
  }

  private register(message: NodeRegister): Uint8Array {
    this.registrations.push(message);
    const { epoch, heartbeatIntervalMs, fencingTimeoutMs, killActors } = this;
    const refused = this.deadNodes.has(message.nodeId) ? 'it was declared dead' : undefined;
    return encodeControl({ epoch, refused, heartbeatIntervalMs, fencingTimeoutMs, killActors });
  }

  private takeReport({ sessionId, firstSequence, events }: NodeReport): void {
    const seen = this.lastSequence.get(sessionId) ?? 0;
    if (firstSequence > seen + 1)
      throw new Error(`a report begins at ${firstSequence} after ${seen}`);
    this.events.push(...events.slice(seen + 1 - firstSequence));
    this.lastSequence.set(sessionId, Math.max(seen, firstSequence + events.length - 1));
  }
}

let seed = 1;
/** Ids that are the same in each run. */
export const testMint: MintId = createIdMint((target) => {
  for (let index = 0; index < target.length; index += 1) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    target[index] = seed >>> 24;
  }
});

export function testSpec(
  className: string,
  isolation: Isolation = 'process',
  jobId: JobId = testMint('job'),
): ActorSpec {
  return {
    actorId: testMint('actor'),
    jobId,
    ownerId: testMint('process'),
    className,
    classReference: { moduleUrl: 'file:///none.js', exportKey: className },
    methods: [],
    encodedArgs: new Uint8Array(),
    namespace: 'default',
    lifetime: 'job',
    isolation,
    maxRestarts: 0,
    maxTaskRetries: 0,
    maxConcurrency: 1,
    gracefulShutdownMs: 200,
    demand: { resources: {} },
  };
}

export function startCommand(spec: ActorSpec, incarnation = 0): NodeCommand {
  return { type: 'start-actor', spec, incarnation, gpuIndexes: [] };
}

/** A lease: a task worker whose fake host behaves as `className` says. */
export function testLease(className: string, jobId?: JobId): ActorSpec {
  return { ...testSpec(className, 'process', jobId), kind: 'task-worker' };
}

export function endCommand(
  spec: ActorSpec,
  how: 'kill' | 'stop' | 'return',
  incarnation = 0,
): NodeCommand {
  const kind = { kill: 'killed', stop: 'stopped', return: 'returned' }[how];
  const cause = { kind, message: `the test asked for it` };
  return { type: 'end-actor', actorId: spec.actorId, incarnation, how, cause };
}
