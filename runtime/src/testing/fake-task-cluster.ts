import type { ChannelRecord } from '../channel/channel.ts';
import { ClusterUnavailableError } from '../errors/errors.ts';
import type { DeathCause } from '../errors/death-cause.ts';
import type { ActorId, JobId, ProcessId } from '../ids.ts';
import { ActorCaller } from '../rpc/actor-caller.ts';
import type { CallerCore } from '../rpc/caller-core.ts';
import { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD, RETURNED } from '../rpc/records.ts';
import { encodeError, taskErrorFrom } from '../serialization/error-codec.ts';
import { createValueCodec } from '../serialization/value-codec.ts';
import { TASK_WORKER, type LeaseTemplate } from '../tasks/task-function.ts';
import type { SubmitterCore } from '../tasks/submitter-core.ts';
import { TaskSubmitter } from '../tasks/task-submitter.ts';
import { TaskWaits } from '../tasks/task-waits.ts';
import type { ActorSpec, ActorUpdate, ProcessAddress } from '../wire/messages.ts';
import { FakeChannel } from './fake-channel.ts';
import { ManualClock } from './manual-clock.ts';

interface Received {
  number: number;
  argument: number;
  isCancelled: boolean;
}

/** A task worker that does what it is told: its holder's end of it is a channel. */
export class FakeTaskWorker extends FakeChannel {
  readonly queue: Received[] = [];
  running: Received | undefined;
  isBlocked = false;
  readonly #onStart: (argument: number) => void;

  constructor(processId: ProcessId, onStart: (argument: number) => void) {
    super(processId);
    this.#onStart = onStart;
  }

  /** Most of the tasks that were here at one time, the running one included. */
  depthMax = 0;

  send(record: ChannelRecord): void {
    if (!this.isOpen) return;
    if (record[0] === RECORD.call) this.#take(record);
    else if (record[0] === RECORD.cancel) this.#cancel(record[1] as number);
    else if (record[0] === RECORD.recall)
      this.giveBack(RETURNED.recalled, new Set(record[1] as number[]));
  }

  #take(record: ChannelRecord): void {
    const argument = (record[4] as number[])[0] as number;
    this.queue.push({ number: record[2] as number, argument, isCancelled: false });
    this.depthMax = Math.max(this.depthMax, this.queue.length + (this.running ? 1 : 0));
    if (this.isBlocked) this.giveBack(RETURNED.blocked);
  }

  #cancel(number: number): void {
    if (this.running?.number === number) this.running.isCancelled = true;
    else this.giveBack(RETURNED.cancelled, new Set([number]));
  }

  giveBack(reason: number, numbers?: ReadonlySet<number>): void {
    const going = this.queue.filter(({ number }) => numbers?.has(number) ?? true);
    const staying = this.queue.filter((call) => !going.includes(call));
    this.queue.splice(0, this.queue.length, ...staying);
    for (const { number } of going) this.#answer([RECORD.returned, number, reason]);
  }

  /** Starts the next task, or ends the running one. */
  step(fails = false): void {
    const { running } = this;
    if (running === undefined) {
      this.running = this.queue.shift();
      if (this.running !== undefined) this.#onStart(this.running.argument);
      return;
    }
    this.running = undefined;
    this.isBlocked = false;
    if (running.isCancelled) this.#answer([RECORD.returned, running.number, RETURNED.cancelled]);
    else if (fails) this.#answer([RECORD.failure, running.number, failure]);
    else this.#answer([RECORD.result, running.number, running.argument]);
  }

  block(): void {
    if (this.running === undefined) return;
    this.isBlocked = true;
    this.giveBack(RETURNED.blocked);
  }

  #answer(record: ChannelRecord): void {
    if (this.isOpen) this.arrive(record);
  }
}

const failure = encodeError(taskErrorFrom(new RangeError('It fails.'), { method: 'run' }));

interface Lease {
  spec: ActorSpec;
  caller: ActorCaller;
  worker: FakeTaskWorker | undefined;
  revision: number;
}

/** A head with so many places, its workers, and one process that submits tasks. Time stands still unless moved. */
export class FakeTaskCluster {
  readonly clock = new ManualClock();
  readonly submitter: TaskSubmitter;
  readonly leases = new Map<ActorId, Lease>();
  /** How often each task, by its first argument, was started. */
  readonly starts = new Map<number, number>();
  /** The workers that were ever there. */
  readonly workers: FakeTaskWorker[] = [];
  readonly places: number;
  pendingWork = 0;
  #minted = 0;

  constructor(places: number) {
    this.places = places;
    this.submitter = new TaskSubmitter(this.#core(), () => this.clock.now());
  }

  #core(): SubmitterCore {
    const noop = (): void => undefined;
    const core = {
      runtime: { waits: new TaskWaits(), mintObjectId: () => `o_${(this.#minted += 1)}` },
      codec: createValueCodec({ revive: noop }),
      clock: this.clock,
      processId: 'p_0000000000000000',
      connect: (address: ProcessAddress) => this.#connect(address),
      lend: noop,
      unpin: noop,
      warn: noop,
      reportProgress: noop,
      callStarted: () => (this.pendingWork += 1),
      callFinished: () => (this.pendingWork -= 1),
      mintActorId: () => `a_${(this.#minted += 1)}`,
      endLease: (actorId: ActorId) => Promise.resolve(this.#endLease(actorId)),
      actors: {
        leases: new Map(),
        refresh: (actorId: ActorId) => queueMicrotask(() => this.#refresh(actorId)),
        create: (spec: ActorSpec) => this.#create(core as unknown as CallerCore, spec),
        submitCreation: noop,
        drop: (caller: ActorCaller) => caller.close(),
      },
    };
    return core as unknown as SubmitterCore;
  }

  #create(core: CallerCore, spec: ActorSpec): ActorCaller {
    const { actorId, className } = spec;
    const caller = new ActorCaller(core, {
      actorId,
      className,
      maxTaskRetries: 0,
      retryExceptions: undefined,
      maxPendingCalls: undefined,
      allowOutOfOrderExecution: false,
    });
    this.leases.set(actorId, { spec, caller, worker: undefined, revision: 0 });
    return caller;
  }

  #connect(address: ProcessAddress): Promise<PeerConnection> {
    const worker = this.workers.find(({ peer }) => peer.processId === address.processId);
    return worker?.isOpen === true
      ? Promise.resolve(new PeerConnection(worker))
      : Promise.reject(new ClusterUnavailableError('Nobody is there.'));
  }

  #refresh(actorId: ActorId): void {
    const lease = this.leases.get(actorId);
    if (lease?.worker?.isOpen === false) this.#sayDead(lease, crashCause);
  }

  #say(lease: Lease, update: Partial<ActorUpdate>): void {
    lease.revision += 1;
    const { actorId } = lease.spec;
    const { revision } = lease;
    lease.caller.apply({ actorId, revision, incarnation: 0, state: 'pending', ...update });
  }

  #sayDead(lease: Lease, deathCause: DeathCause): void {
    this.leases.delete(lease.spec.actorId);
    this.#say(lease, { state: 'dead', deathCause });
  }

  #endLease(actorId: ActorId): void {
    const lease = this.leases.get(actorId);
    this.leases.delete(actorId);
    lease?.worker?.break();
  }

  get alive(): FakeTaskWorker[] {
    return [...this.leases.values()].flatMap(({ worker }) =>
      worker?.isOpen === true ? worker : [],
    );
  }

  /** Requests that have no place. */
  get waiting(): Lease[] {
    return [...this.leases.values()].filter(({ worker }) => worker === undefined);
  }

  /** Gives places to as many requests as there is room for; blocked workers lend theirs. */
  grant(): void {
    for (const lease of this.waiting) {
      if (this.alive.filter(({ isBlocked }) => !isBlocked).length >= this.places) return;
      const processId = `p_${(this.#minted += 1)}` as ProcessId;
      lease.worker = new FakeTaskWorker(processId, (argument) =>
        this.starts.set(argument, (this.starts.get(argument) ?? 0) + 1),
      );
      this.workers.push(lease.worker);
      const address = { processId } as unknown as ProcessAddress;
      this.#say(lease, { state: 'alive', address });
    }
  }

  /** The process ends; the connection breaks before or after the head's word. */
  crash(worker: FakeTaskWorker, deathCause: DeathCause = crashCause, wordFirst = false): void {
    const lease = [...this.leases.values()].find((other) => other.worker === worker);
    if (lease === undefined) return;
    if (!wordFirst) worker.break();
    this.#sayDead(lease, deathCause);
    if (wordFirst) worker.break();
  }

  /** The head says that somebody else waits for the place of this worker. */
  want(worker: FakeTaskWorker): void {
    const lease = [...this.leases.values()].find((other) => other.worker === worker);
    const address = { processId: worker.peer.processId } as unknown as ProcessAddress;
    if (lease !== undefined) this.#say(lease, { state: 'alive', address, wanted: true });
  }

  refuse(update: Partial<ActorUpdate>): void {
    for (const lease of this.waiting) {
      this.leases.delete(lease.spec.actorId);
      this.#say(lease, { state: 'dead', ...update });
    }
  }

  /** Timers that are due run one after another, each with all that follows from it. */
  async turn(milliseconds = 0): Promise<void> {
    const stepMs = 50;
    await settled();
    for (let left = milliseconds; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(left, stepMs));
      await settled();
    }
  }

  /** Lets everything run to its end. */
  async settle(): Promise<void> {
    for (let round = 0; round < 2_000 && this.submitter.unfinishedCount > 0; round += 1) {
      this.grant();
      await this.turn(30);
      for (const worker of this.alive) worker.step();
      for (const worker of this.alive) worker.step();
      await this.turn();
    }
    for (let round = 0; round < 3; round += 1) {
      for (const worker of this.alive) worker.step();
      await this.turn(1_000);
    }
    // Lost workers are asked about for so long.
    await this.turn(16_000);
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const crashCause: DeathCause = { kind: 'process-died', message: 'It crashed.', signal: 'SIGKILL' };

/** What the SDK would ask a worker for; one CPU. */
export function leaseTemplate(schedulingTimeoutMs?: number): LeaseTemplate {
  const template = {
    kind: 'task-worker',
    jobId: 'j_0000000000000000' as JobId,
    className: TASK_WORKER.exportKey,
    classReference: TASK_WORKER,
    namespace: 'test',
    env: undefined,
    demand: { resources: { cpus: 1 } },
    schedulingTimeoutMs,
  };
  return template as unknown as LeaseTemplate;
}
