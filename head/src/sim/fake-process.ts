import type { ActorId, ClusterId, JobId, MintId, ProcessId } from '@manta/runtime/ids';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Transport } from '@manta/runtime/transport/transport';
import { ActorCreateReply, ActorHoldReply } from '@manta/runtime/wire/actor-messages';
import {
  ActorUpdates,
  ErrorReply,
  type ActorSpec,
  type ActorUpdate,
} from '@manta/runtime/wire/messages';
import { subjectsOf, type HeadOperation, type Subjects } from '@manta/runtime/wire/subjects';
import * as v from 'valibot';

/** A driver, or any process that creates and holds actors, as the head sees it. */
export class FakeProcess {
  readonly processId: ProcessId;
  readonly jobId: JobId;
  /** The newest update of each actor, and all that were news in order of arrival. */
  readonly newest: Map<ActorId, ActorUpdate> = new Map();
  readonly history: ActorUpdate[] = [];
  readonly held = new Set<ActorId>();
  /** Its leases as long as it needs them: it asks again for those that a new head does not know. */
  readonly leases: Map<ActorId, ActorSpec> = new Map();
  createsAgain = false;
  readonly #transport: Transport;
  readonly #subjects: Subjects;
  readonly #mint: MintId;

  constructor(clusterId: ClusterId, transport: Transport, mint: MintId) {
    this.#transport = transport;
    this.#subjects = subjectsOf(clusterId);
    this.#mint = mint;
    this.processId = mint('process');
    this.jobId = mint('job');
    transport.subscribe(this.#subjects.processUpdates(this.processId), (payload) => {
      for (const update of decodeControl(ActorUpdates, payload).updates) this.#take(update);
    });
    const holdAgain = () => void this.holdAgain().catch(() => undefined);
    transport.subscribe(this.#subjects.headStarted, holdAgain);
    // A head that starts with its broker says so before anybody is connected again.
    transport.onStatus((status) => {
      if (status === 'connected') holdAgain();
    });
  }

  spec(changes: Partial<ActorSpec> = {}): ActorSpec {
    return {
      actorId: this.#mint('actor'),
      jobId: this.jobId,
      ownerId: this.processId,
      className: 'Counter',
      classReference: { moduleUrl: 'file:///counter.js', exportKey: 'Counter' },
      methods: [{ name: 'add', stream: false }],
      encodedArgs: Uint8Array.of(),
      namespace: 'default',
      lifetime: 'job',
      isolation: 'process',
      maxRestarts: 0,
      maxTaskRetries: 0,
      maxConcurrency: 1,
      gracefulShutdownMs: 1_000,
      demand: { resources: {} },
      ...changes,
    };
  }

  /** A lease: a task worker of this process. */
  leaseSpec(demand: ActorSpec['demand'], changes: Partial<ActorSpec> = {}): ActorSpec {
    const classReference = { moduleUrl: 'manta:task-worker', exportKey: 'TaskWorker' };
    const kind = 'task-worker';
    return this.spec({ kind, className: 'task', classReference, methods: [], demand, ...changes });
  }

  /** Gives a lease back. */
  async giveBack(actorId: ActorId): Promise<void> {
    this.held.delete(actorId);
    this.leases.delete(actorId);
    await this.tell('actor.kill', { actorId, returned: true });
  }

  /** @throws ErrorReply's name and message as an Error. */
  async ask<S extends v.GenericSchema>(
    operation: HeadOperation,
    message: unknown,
    schema: S,
    timeoutMs = 2_000,
  ): Promise<v.InferOutput<S>> {
    const subject = this.#subjects.head(operation);
    const reply = await this.#transport.request(subject, encodeControl(message), { timeoutMs });
    const decoded = decodeControl(v.unknown(), reply);
    if (v.is(ErrorReply, decoded))
      throw new Error(`${decoded.error.name}: ${decoded.error.message}`);
    return v.parse(schema, decoded);
  }

  /** Asks and cares only for whether it was refused. */
  async tell(operation: HeadOperation, message: unknown): Promise<void> {
    await this.ask(operation, message, v.unknown());
  }

  async create(
    specs: readonly ActorSpec[],
  ): Promise<v.InferOutput<typeof ActorCreateReply>['results']> {
    for (const { actorId } of specs) this.held.add(actorId);
    return (await this.ask('actor.create', { specs }, ActorCreateReply)).results;
  }

  /** Says again what it holds, as every process does when a head has started. */
  async holdAgain(): Promise<void> {
    const actorIds = [...this.held];
    const actors = await this.#hold(actorIds);
    const unknown = actorIds.filter((_, index) => actors[index] === undefined);
    const specs = unknown.flatMap((actorId) => this.leases.get(actorId) ?? []);
    if (this.createsAgain && specs.length > 0) await this.create(specs);
  }

  /** A lost result of this actor is wanted again. */
  async holdToMakeAgain(actorId: ActorId): Promise<void> {
    this.held.add(actorId);
    await this.#hold([actorId], [actorId]);
  }

  async #hold(actorIds: readonly ActorId[], again?: readonly ActorId[]) {
    const message = { processId: this.processId, actorIds, again };
    const { actors } = await this.ask('actor.hold', message, ActorHoldReply);
    for (const actor of actors) if (actor !== undefined) this.#take(actor.update);
    return actors;
  }

  async release(actorIds: readonly ActorId[]): Promise<void> {
    for (const actorId of actorIds) this.held.delete(actorId);
    await this.tell('actor.release', { processId: this.processId, actorIds });
  }

  stateOf(actorId: ActorId): ActorUpdate['state'] | undefined {
    return this.newest.get(actorId)?.state;
  }

  #take(update: ActorUpdate): void {
    const known = this.newest.get(update.actorId);
    if (known !== undefined && known.revision >= update.revision) return;
    this.newest.set(update.actorId, update);
    if (update.state === 'dead') this.leases.delete(update.actorId);
    this.history.push(update);
  }
}
