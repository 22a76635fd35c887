import type { MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';
import type { Maker } from '../lineage/recipe.ts';
import { ObjectRef, REF_STATE, type Content } from '../objects/object-ref.ts';
import { StoredValue } from '../objects/stored-value.ts';
import { releaseArguments } from '../rpc/arguments.ts';
import { optionsAgain, type CallOptions } from '../rpc/call-options.ts';
import { ObjectRefStream } from '../rpc/object-ref-stream.ts';
import type { PendingReply } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import type { CancelOptions } from '../rpc/caller-core.ts';
import { StreamBuffer, type StreamSource } from '../rpc/stream-buffer.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { TaskFunction } from './task-function.ts';
import type { TaskLease } from './task-lease.ts';

/** Where a task is; numbers, because there may be a million of them. */
export const TASK_PHASE = {
  /** Not in a queue yet: a ref among its arguments is not there. */
  waiting: 0,
  /** It waits here for a worker. */
  queued: 1,
  /** A worker has it, running or not. */
  sent: 2,
  /** Its worker was lost; it is not known yet of what. */
  lost: 3,
  done: 4,
} as const;
type TaskPhase = (typeof TASK_PHASE)[keyof typeof TASK_PHASE];
/** The words of `explain`, by phase. */
export const TASK_PHASE_NAMES = ['waiting-for-dependencies', 'queued', 'sent', 'lost', 'done'];

/** What only some tasks have. */
export interface TaskExtras {
  options: CallOptions | undefined;
  /** Refs and handles inside the arguments: held until the task is over. */
  pins: readonly Transferable[] | undefined;
  stream: StreamBuffer | undefined;
  /** Items to drop because an earlier attempt delivered them. */
  skipItems: number;
  /** Times that it was refused because an argument was lost. */
  argumentLosses: number;
  /** Ends watching the timeout and the signal. */
  unlisten: (() => void) | undefined;
  /** One of several that were at a worker when it died: goes alone, so that the next death has one culprit. */
  isSuspect: boolean;
  /** Times that a worker was killed for want of memory under it. */
  memoryKills: number;
  /** Milliseconds since the epoch; set for tasks with a schedulingTimeoutMs. */
  queuedAt: number;
}

/**
 * One task, and at the same time the ref of its result: a task makes one object. What only some tasks need is in
 * `extras`. What it takes to run the task again (`task`, `values`, the pins) is reachable from here.
 */
export class TaskCall extends ObjectRef<unknown> implements PendingReply, StreamSource {
  readonly task: TaskFunction;
  /** Prepared arguments. */
  values: unknown[] | undefined;
  phase: TaskPhase = TASK_PHASE.waiting;
  /** Its number among the tasks of this process, the same in every attempt. */
  readonly number: number;
  /** The call or task that has submitted it (CallerCore.parentNow). */
  parent: number;
  retriesLeft: number;
  lease: TaskLease | undefined = undefined;
  extras: TaskExtras | undefined = undefined;

  constructor(task: TaskFunction, values: unknown[], number: number) {
    super(task.submitter.runtime);
    this.task = task;
    this.values = values;
    this.number = number;
    this.retriesLeft = task.definition.maxRetries;
    this.parent = task.submitter.core.parentNow?.() ?? 0;
  }

  /** Made when something is to be kept in it. */
  extra(): TaskExtras {
    return (this.extras ??= {
      options: undefined,
      pins: undefined,
      stream: undefined,
      skipItems: 0,
      argumentLosses: 0,
      unlisten: undefined,
      isSuspect: false,
      memoryKills: 0,
      queuedAt: 0,
    });
  }

  /** For a user who asks for a stream. Not kept here: a call must not hold who reads it. */
  openStream(): ObjectRefStream<unknown> {
    return new ObjectRefStream(this.#feed());
  }

  #feed(): StreamBuffer {
    const extras = this.extra();
    extras.stream ??= new StreamBuffer(this.runtime, this, extras.options?.maxBufferedItems);
    if (this.phase === TASK_PHASE.done)
      extras.stream.finish(this.state === REF_STATE.failed ? { error: this.content } : undefined);
    return extras.stream;
  }

  grant(items: number): void {
    this.lease?.connection?.channel.send([RECORD.credit, this.number, items]);
  }

  cancel(options: CancelOptions = {}): void {
    this.task.submitter.cancel(this, options);
  }

  // ── replies ──────────────────────────────────────────────────────────────────────────────────────────────
  onResult(value: unknown): void {
    const lease = this.lease as TaskLease;
    lease.answered(this);
    if (this.phase === TASK_PHASE.done) {
      lease.connection?.onUnclaimed?.(value);
      return;
    }
    let content: Content;
    try {
      content = this.#contentOf(value, lease);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#remember(content);
    this.finish(lease.nodeId);
    this.extras?.stream?.finish();
    this.resolve(content);
  }

  onFailure(encodedError: Uint8Array, ran: boolean): void {
    const lease = this.lease as TaskLease;
    lease.answered(this);
    this.task.submitter.onFailure(this, encodedError, lease, ran);
  }

  onReturned(reason: number): void {
    this.lease?.returned(this, reason);
  }

  onStream(): void {
    if (this.phase === TASK_PHASE.done) return;
    // Its user has disposed of it before anybody knew that it stands for a stream.
    if (this.state !== REF_STATE.pending) this.cancel();
    else this.extra().skipItems = this.#feed().received;
  }

  onItem(value: unknown): void {
    const { extras } = this;
    if (this.phase === TASK_PHASE.done || extras === undefined) {
      this.lease?.connection?.onUnclaimed?.(value);
      return;
    }
    if (extras.skipItems > 0) {
      extras.skipItems -= 1;
      this.lease?.connection?.onUnclaimed?.(value);
      this.grant(1);
      return;
    }
    const stream = this.#feed();
    const content = this.#contentOf(value, this.lease as TaskLease);
    this.#remember(content, stream.received);
    stream.push(content);
  }

  #remember(content: Content, item?: number): void {
    if (content instanceof StoredValue) this.task.submitter.core.lineage.keep(content, this, item);
  }

  /** How this task is run once more. */
  maker(): Maker {
    const { task, number } = this;
    const options = optionsAgain(this.extras?.options);
    return {
      name: `task ${task.name}`,
      option: 'maxRetries',
      maxRetries: task.definition.maxRetries,
      again: (values, pins, retriesLeft) => {
        const call = new TaskCall(task, values, number);
        call.retriesLeft = retriesLeft;
        call.parent = 0;
        if (pins.length > 0) call.extra().pins = pins;
        if (options !== undefined) call.extra().options = options;
        task.submitter.again(call);
        return call;
      },
    };
  }

  onEnd(encodedError: Uint8Array | undefined): void {
    if (encodedError !== undefined) {
      this.onFailure(encodedError, true);
      return;
    }
    const nodeId = this.lease?.nodeId;
    this.lease?.answered(this);
    if (this.phase === TASK_PHASE.done) return;
    this.finish(nodeId);
    this.extras?.stream?.finish();
    this.resolve(undefined);
  }

  onLost(reason: MantaError): void {
    this.lease?.lost(this, reason);
  }

  #contentOf(value: unknown, lease: TaskLease): Content {
    if (typeof value !== 'object' || value === null) return value as Content;
    return this.task.submitter.core.receivePayload(
      value as Uint8Array | unknown[],
      lease.connection?.channel.peer.processId as ProcessId,
    );
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** Ends the task with an error, wherever it is; `nodeId`: where it has run. */
  fail(error: unknown, nodeId = this.lease?.nodeId): void {
    if (this.phase === TASK_PHASE.done) return;
    this.finish(nodeId, error);
    this.extras?.stream?.finish({ error });
    this.reject(error);
  }

  /** Releases what the task held. */
  finish(nodeId?: string, error?: unknown): void {
    if (this.phase === TASK_PHASE.done) return;
    const { extras, values } = this;
    const phase = this.phase;
    this.phase = TASK_PHASE.done;
    this.values = undefined;
    if (values !== undefined) releaseArguments(values);
    if (extras !== undefined) {
      extras.unlisten?.();
      extras.unlisten = undefined;
      if (extras.pins !== undefined) {
        this.task.submitter.core.unpin(extras.pins);
        extras.pins = undefined;
      }
    }
    this.task.submitter.onFinished(this, phase, nodeId, error);
  }

  /** A ref whose function is no generator can still be iterated: the worker says when its result is a stream (see ActorCall). */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    yield* this.openStream();
    const value = await this;
    if (value !== undefined) throw new TypeError(`${this.task.name} did not return an iterable.`);
  }

  refs(): AsyncIterable<ObjectRef<unknown>> {
    return this.openStream().refs();
  }

  override [Symbol.dispose](): void {
    this.extras?.stream?.close();
    super[Symbol.dispose]();
  }
}
