import { registered } from '../rpc/caller-questions.ts';
import { MantaError } from '../errors/errors.ts';
import type { AnyObjectRef, RefOwnerRuntime } from '../objects/object-ref.ts';
import { isPrimitive } from '../objects/payload.ts';
import {
  failedDependency,
  holdArguments,
  pendingDependencies,
  prepareArguments,
} from '../rpc/arguments.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { mayRetryException, type CallOptions } from '../rpc/call-options.ts';
import { sendCancel, watchCall } from '../rpc/call-steps.ts';
import type { CancelOptions } from '../rpc/caller-core.ts';
import { holdUntilSettled } from '../rpc/dependencies.ts';
import { mayGoAgain } from '../rpc/lost-arguments.ts';
import { decodeError } from '../serialization/error-codec.ts';
import type { ActorSpec } from '../wire/messages.ts';
import type { SubmitterCore } from './submitter-core.ts';
import { EndedTasks } from './ended-tasks.ts';
import { TASK_PHASE, TaskCall } from './task-call.ts';
import { TaskCatalogue, type TaskTally } from './task-catalogue.ts';
import { cancelledError, crashError, deathOf, timeoutError } from './task-errors.ts';
import type { LeaseTemplate, TaskDefinition, TaskFunction } from './task-function.ts';
import { TaskLease } from './task-lease.ts';
import { TaskProgress } from './task-progress.ts';
import type { ShapeOwner, TaskShape } from './task-shape.ts';
import { unfinishedTasks } from './unfinished-tasks.ts';

/** Calls are numbered from 1 by the connection; tasks have the upper half of what a small integer holds. */
const FIRST_NUMBER = 2 ** 30;
const SWEEP_INTERVAL_MS = 25;
/** Without the head's word on a lost worker, what may be repeated is repeated after this. */
const RETRY_VERDICT_MS = 1_000;
const FAIL_VERDICT_MS = 15_000;
/** Ray: workers killed because the machine's memory is short cost no retry; they are started again slower and slower. */
const MEMORY_DELAY_MS = 1_000;
const MEMORY_DELAY_MAX_MS = 60_000;

/**
 * The tasks that this process submits: a driver, or any host whose actors and tasks submit some. Sorts them by shape,
 * holds back those whose arguments are not there, repeats those whose worker died.
 */
export class TaskSubmitter implements ShapeOwner {
  readonly core: SubmitterCore;
  readonly now: () => number;
  readonly #catalogue = new TaskCatalogue(this);
  /** Shapes with tasks in their queue, or leases. */
  readonly #active = new Set<TaskShape>();
  readonly ended = new EndedTasks();
  readonly #waiting = new Set<TaskCall>();
  #nextNumber = 0;
  #unfinished = 0;
  #scheduled: TaskShape[] = [];
  #stopSweep: (() => void) | undefined;
  readonly #progress: TaskProgress;
  #closed: MantaError | undefined;

  constructor(core: SubmitterCore, now: () => number = () => performance.now()) {
    this.core = core;
    this.now = now;
    this.#progress = new TaskProgress(this, core.clock, (jobId, tasks) =>
      core.reportProgress(jobId, tasks),
    );
  }

  get runtime(): RefOwnerRuntime {
    return this.core.runtime;
  }

  get unfinishedCount(): number {
    return this.#unfinished;
  }

  tallies(): Iterable<TaskTally> {
    return this.#catalogue.tallies();
  }

  /** What runs now, one entry per worker that has a task. */
  running(): TaskCall[] {
    const leases = [...this.#active].flatMap((shape) => shape.leases);
    return leases.flatMap((lease) => lease.first() ?? []);
  }

  /** A head has started: it knows nothing of what was reported. */
  reportAgain(): void {
    if (this.#catalogue.hasTallies) this.#progress.changed();
  }

  /** Equal definitions of one shape are one function. */
  functionFor(definition: TaskDefinition, template: LeaseTemplate): TaskFunction {
    return this.#catalogue.functionFor(definition, template);
  }

  // ── submission ───────────────────────────────────────────────────────────────────────────────────────────
  submit(task: TaskFunction, args: unknown[]): TaskCall {
    for (const arg of args) if (!isPrimitive(arg)) return this.submitWith(task, args, undefined);
    const call = new TaskCall(task, args, this.#mintNumber());
    this.#accept(call);
    return call;
  }

  /** @throws SerializationError naming the path of what cannot be sent. */
  submitWith(task: TaskFunction, args: unknown[], options: CallOptions | undefined): TaskCall {
    const prepared = prepareArguments(args, this.core);
    const call = new TaskCall(task, prepared.values, this.#mintNumber());
    if (prepared.pins.length > 0) call.extra().pins = prepared.pins;
    if (options !== undefined) {
      const extras = call.extra();
      extras.options = options;
      extras.unlisten = watchCall(options, this.core.clock, (reason) =>
        this.#end(call, reason, {}),
      );
    }
    this.#accept(call, prepared.dependencies);
    return call;
  }

  /** A finished task runs once more. */
  again(call: TaskCall): void {
    holdArguments(call.values ?? []);
    this.#accept(call, pendingDependencies(call.values ?? []));
  }

  #mintNumber(): number {
    const number = FIRST_NUMBER + this.#nextNumber;
    this.#nextNumber = (this.#nextNumber + 1) % FIRST_NUMBER;
    return number;
  }

  #accept(call: TaskCall, dependencies: readonly AnyObjectRef[] = []): void {
    this.#unfinished += 1;
    if (this.#unfinished === 1) this.core.callStarted();
    call.task.tally.submitted += 1;
    this.#progress.changed();
    if (this.#closed !== undefined) {
      call.fail(this.#closed);
    } else if (call.extras?.options?.signal?.aborted === true) {
      call.fail(cancelledError(call));
    } else if (dependencies.length > 0) {
      this.hold(call, dependencies);
    } else {
      this.#ready(call);
    }
  }

  /** Held back until every ref among its arguments is there; others of its shape pass it by. */
  hold(
    call: TaskCall,
    dependencies: readonly AnyObjectRef[] = pendingDependencies(call.values ?? []),
  ): void {
    if (dependencies.length === 0) {
      this.#ready(call);
      return;
    }
    call.phase = TASK_PHASE.waiting;
    this.#waiting.add(call);
    holdUntilSettled(call.extra(), dependencies, () => {
      if (call.phase !== TASK_PHASE.waiting) return;
      this.#waiting.delete(call);
      this.hold(call);
    });
  }

  #ready(call: TaskCall): void {
    const failed = call.extras === undefined ? undefined : failedDependency(call.values ?? []);
    if (failed !== undefined) {
      call.fail(failed.error);
      return;
    }
    const { shape } = call.task;
    if (shape.template.schedulingTimeoutMs !== undefined) call.extra().queuedAt = this.now();
    shape.add(call);
  }

  // ── leases ───────────────────────────────────────────────────────────────────────────────────────────────
  schedule(shape: TaskShape): void {
    shape.isScheduled = true;
    this.#active.add(shape);
    this.#scheduled.push(shape);
    if (this.#scheduled.length === 1) process.nextTick(this.#pumpAll);
  }

  readonly #pumpAll = (): void => {
    const shapes = this.#scheduled;
    this.#scheduled = [];
    for (const shape of shapes) {
      shape.isScheduled = false;
      if (this.#closed === undefined) shape.pump();
      if (shape.isIdle) this.#active.delete(shape);
    }
  };

  /** While leases are held: idle ones go back, stalled ones are helped. */
  #sweep(): void {
    let isHolding = false;
    for (const shape of this.#active) {
      if (shape.leases.length === 0) continue;
      isHolding = true;
      shape.tick();
    }
    if (isHolding) return;
    this.#stopSweep?.();
    this.#stopSweep = undefined;
  }

  request(shape: TaskShape): TaskLease {
    const spec: ActorSpec = { ...shape.template, actorId: this.core.mintActorId() };
    const caller = this.core.actors.create(spec);
    this.core.actors.leases.set(spec.actorId, spec);
    this.core.actors.submitCreation(spec, caller);
    this.#stopSweep ??= this.core.clock.every(SWEEP_INTERVAL_MS, () => this.#sweep(), {
      unref: true,
    });
    return new TaskLease(caller, shape, this.now);
  }

  end(lease: TaskLease, how: 'return' | 'kill'): void {
    const { caller } = lease;
    this.core.actors.leases.delete(caller.actorId);
    if (how === 'kill' && lease.state === 'open' && lease.unanswered > 0) {
      // Its tasks hear of it when the connection breaks.
      void this.#endLease(caller, false);
      return;
    }
    const wasLost = lease.state === 'lost';
    lease.close();
    if (this.#closed !== undefined) this.core.actors.drop(caller);
    else if (wasLost) this.#endLost(caller);
    else void this.#endLease(caller, how === 'return');
  }

  /** The head is about to say what became of the worker; if it lives, only the connection broke. */
  #endLost(caller: ActorCaller): void {
    const end = (): void => {
      cancelTimer();
      stopWatching();
      void this.#endLease(caller, false);
    };
    const cancelTimer = this.core.clock.after(FAIL_VERDICT_MS, end, { unref: true });
    const stopWatching = caller.watchers.once(
      () => caller.connectionState === 'dead' || caller.connectionState === 'open',
      end,
    );
  }

  async #endLease(caller: ActorCaller, returned: boolean): Promise<void> {
    if (caller.connectionState !== 'dead') {
      await registered(caller);
      try {
        await this.core.endLease(caller.actorId, returned);
      } catch (error) {
        if (!MantaError.is(error, 'ActorNotFoundError'))
          this.core.warn('a task worker could not be given back', error);
      }
    }
    this.core.actors.drop(caller);
  }

  later(shape: TaskShape, delayMs: number): void {
    this.core.clock.after(delayMs, () => shape.changed(), { unref: true });
  }

  // ── failures ─────────────────────────────────────────────────────────────────────────────────────────────
  /** Without `ran` the worker has refused it. */
  onFailure(call: TaskCall, encodedError: Uint8Array, lease: TaskLease, ran: boolean): void {
    const refusedBy = ran ? undefined : lease;
    const error = decodeError(encodedError);
    const isLeaseOver = refusedBy !== undefined && MantaError.is(error, 'ActorUnavailableError');
    if (isLeaseOver) refusedBy.isEnding = true;
    if (call.phase === TASK_PHASE.done) return;
    if (isLeaseOver) {
      call.task.shape.addFirst([call]);
      return;
    }
    if (refusedBy !== undefined && mayGoAgain(error, call.values, call.extra(), this.core)) {
      this.hold(call);
      return;
    }
    const rule = call.extras?.options?.retryExceptions ?? call.task.definition.retryExceptions;
    if (ran && call.retriesLeft !== 0 && mayRetryException(rule, error)) {
      call.retriesLeft -= call.retriesLeft > 0 ? 1 : 0;
      call.task.shape.addFirst([call]);
      return;
    }
    call.fail(error, lease.nodeId);
  }

  judge(call: TaskCall, lease: TaskLease): void {
    const { caller } = lease;
    const mayRepeat = call.retriesLeft !== 0;
    call.phase = TASK_PHASE.lost;
    let isOver = false;
    const decide = (): void => {
      if (isOver) return;
      isOver = true;
      stopWatching();
      cancelTimer();
      if (call.phase === TASK_PHASE.lost)
        this.#decide(call, caller.deathError ?? lease.unreachable());
    };
    const cancelTimer = this.core.clock.after(
      mayRepeat ? RETRY_VERDICT_MS : FAIL_VERDICT_MS,
      decide,
    );
    const stopWatching = caller.watchers.once(
      () => caller.connectionState === 'dead' || caller.connectionState === 'open',
      decide,
    );
  }

  #decide(call: TaskCall, error: MantaError): void {
    const death = deathOf(error);
    const extras = call.extra();
    extras.isSuspect = true;
    if (death.isForMachineMemory && call.task.definition.maxRetries !== 0) {
      const delayMs = Math.min(MEMORY_DELAY_MS * 2 ** extras.memoryKills, MEMORY_DELAY_MAX_MS);
      extras.memoryKills += 1;
      this.core.clock.after(delayMs, () => {
        if (call.phase === TASK_PHASE.lost) call.task.shape.addFirst([call]);
      });
    } else if (call.retriesLeft !== 0) {
      call.retriesLeft -= call.retriesLeft > 0 ? 1 : 0;
      call.task.shape.addFirst([call]);
    } else {
      call.fail(crashError(call, death));
    }
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────
  cancel(call: TaskCall, options: CancelOptions): void {
    this.#end(call, 'cancelled', options);
  }

  #end(call: TaskCall, reason: 'cancelled' | 'timeout', options: CancelOptions): void {
    const { lease } = call;
    const isDone = call.phase === TASK_PHASE.done;
    // One that was cancelled, and does not listen, can still be ended by force.
    if (isDone && (options.force !== true || lease === undefined)) return;
    if ((isDone || call.phase === TASK_PHASE.sent) && lease !== undefined) {
      sendCancel(lease.connection, call.number, reason, options);
      if (options.force === true) lease.forced.add(call);
      call.task.shape.changed();
    }
    if (!isDone) call.fail(reason === 'cancelled' ? cancelledError(call) : timeoutError(call));
  }

  /** Tasks that have not ended, at most so many: those at workers first. */
  unfinished(limit = Infinity): TaskCall[] {
    return unfinishedTasks([...this.#active], this.#waiting, limit);
  }

  /** With `error` it has failed. */
  onFinished(call: TaskCall, phase: number, nodeId?: string, error?: unknown): void {
    const { task } = call;
    if (error === undefined) {
      task.tally.finished += 1;
      this.ended.addFinished(call, nodeId);
    } else {
      task.tally.failed += 1;
      this.ended.addFailed(call, nodeId, error);
    }
    if (phase === TASK_PHASE.queued) task.shape.queue.ended();
    else if (phase === TASK_PHASE.waiting) this.#waiting.delete(call);
    this.#progress.changed();
    this.#unfinished -= 1;
    if (this.#unfinished === 0) this.core.callFinished();
  }

  /** This process leaves the cluster. */
  close(reason: MantaError): void {
    const calls = this.unfinished();
    this.#closed = reason;
    this.#stopSweep?.();
    this.#progress.close();
    for (const call of calls) call.fail(reason);
  }
}
