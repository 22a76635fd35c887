import type { RunningCall } from '@manta/runtime/actor/host-context';
import type { Channel } from '@manta/runtime/channel/channel';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { OutgoingValue } from '@manta/runtime/core/object-values';
import { SerializationError } from '@manta/runtime/errors/errors';
import { isPrimitive, rawFormOf } from '@manta/runtime/objects/payload';
import { taskIdOf } from '@manta/runtime/tasks/task-id';
import type { Caller } from '@manta/runtime/rpc/caller-record';
import { RECORD, SEGMENT_THRESHOLD_BYTES } from '@manta/runtime/rpc/records';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import type { Moment } from '@manta/runtime/time/turn-clock';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { CallHost } from './call-host.ts';
import { DEFAULT_GROUP, type MailboxEntry } from './mailbox.ts';

/** Of a call with an idempotency key: keeps its outcome for others with that key. */
export interface OutcomeKeeper {
  /** @throws SerializationError, ObjectStoreFullError */
  returned(value: unknown): void;
  failed(encodedError: Uint8Array): void;
  /** It has no outcome for others: it did not run, or was a stream. */
  skipped(): void;
}

/** Told of calls that were not answered within the turn in which they came. */
export interface CallListener {
  /** Its method has got its arguments. */
  started(call: IncomingCall): void;
  /** It waits for its caller's credit now and then. */
  streams(): void;
  answered(call: IncomingCall): void;
}

const NO_ARGUMENTS: readonly unknown[] = [];

/** A call as the actor's process sees it, from its arrival to its answer. */
export class IncomingCall implements MailboxEntry, RunningCall {
  readonly channel: Channel;
  readonly number: number;
  readonly methodName: string;
  #args: readonly unknown[];
  /** Of arguments that are large and wait with the call. */
  waitingBytes = 0;
  group = DEFAULT_GROUP;
  readonly instance: CallHost;
  /** Task workers: the number of the function. */
  methodNumber = 0;
  /** Who will own the result, where it said so. */
  caller: Caller | undefined = undefined;
  idempotencyKey: string | undefined = undefined;
  /** Its caller has got an error and tries again: an error that was kept is no answer. */
  isRetry = false;
  maxBufferedItems: number | undefined = undefined;
  cancelled = false;
  running = false;
  answered = false;
  /** When it came; not set on those that are answered within their turn. */
  arrival: Moment | undefined = undefined;
  /** As the parent of what it submits; 0: it has submitted nothing. */
  parentNumber = 0;
  #controller: AbortController | undefined = undefined;
  #cancelReason: unknown = undefined;
  /** What the value threw that could not be sent: not the user's error. */
  unsendable: SerializationError | undefined = undefined;
  /** Streams: how the consumer's credit reaches the producer. */
  onCredit: ((items: number) => void) | undefined = undefined;
  listener: CallListener | undefined = undefined;
  keeper: OutcomeKeeper | undefined = undefined;

  constructor(
    instance: CallHost,
    channel: Channel,
    number: number,
    methodName: string,
    args: unknown[],
  ) {
    this.instance = instance;
    this.channel = channel;
    this.number = number;
    this.methodName = methodName;
    this.#args = args;
  }

  /** For messages: `Counter.add`, `task resize`. */
  get label(): string {
    const { kind, className } = this.spec;
    return kind === 'task-worker' ? `task ${this.methodName}` : `${className}.${this.methodName}`;
  }
  get spec(): ActorSpec {
    return this.instance.spec;
  }
  get restarts(): number {
    return this.instance.restarts;
  }
  get gpuIds(): string[] {
    return this.instance.gpuIds;
  }
  /** Made when somebody asks: most calls never do. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.cancelled && !this.#controller.signal.aborted)
      this.#controller.abort(this.#cancelReason);
    return this.#controller.signal;
  }

  /** The same at the submitter, and in every attempt. */
  get taskId(): string | undefined {
    if (this.spec.kind !== 'task-worker') return undefined;
    return taskIdOf(this.channel.peer.processId, this.number);
  }

  /**
   * The arguments, for the one who calls the method: this object must not keep them. Whatever the method makes (sockets,
   * timers) remembers its call for as long as it lives, since it was made in its context.
   */
  takeArguments(): readonly unknown[] {
    const args = this.#args;
    this.#args = NO_ARGUMENTS;
    if (this.waitingBytes > 0) this.listener?.started(this);
    return args;
  }

  exitActor(): never {
    return this.instance.exitActor();
  }

  /** The caller gave up: queued calls are skipped, running ones learn it from their signal. */
  cancel(reason: unknown): void {
    this.cancelled = true;
    this.#cancelReason = reason;
    this.#controller?.abort(reason);
    this.onCredit?.(0);
    if (this.running || this.answered) return;
    this.answered = true;
    this.listener?.answered(this);
    this.keeper?.skipped();
    this.instance.skipped?.(this);
  }

  /** A task that has not started goes back to its submitter, which sends it elsewhere. */
  giveBack(reason: number): void {
    if (this.running || this.answered) return;
    this.cancelled = true;
    this.answered = true;
    this.sendReturned(reason);
    this.listener?.answered(this);
  }

  sendReturned(reason: number): void {
    this.channel.send([RECORD.returned, this.number, reason]);
  }

  reply(value: unknown, core: CoreProcess): void {
    if (this.answered) return;
    if (this.keeper !== undefined) this.#keep(value, this.keeper);
    // Nobody takes the value of a call that was cancelled: it must not be stored for anybody.
    if (isPrimitive(value) || this.cancelled) {
      this.sendAnswer([RECORD.result, this.number, value]);
      return;
    }
    const raw = rawFormOf(value);
    if (raw !== undefined) {
      this.#sendBytes(value as Uint8Array, raw === 'buffer');
      return;
    }
    const outgoing = this.#handOver(value, core, 'result');
    if (!(outgoing instanceof Promise)) {
      this.#sendResult(outgoing);
      return;
    }
    outgoing.then(
      (stored) => this.#sendResult(stored),
      (error: unknown) => this.fail(error),
    );
  }

  #sendResult(value: OutgoingValue): void {
    if (this.answered) return;
    if (Array.isArray(value) || value.byteLength < SEGMENT_THRESHOLD_BYTES)
      this.sendAnswer([RECORD.result, this.number, value]);
    else this.sendAnswer([RECORD.resultSegment, this.number], [value]);
  }

  replyOrFail(value: unknown, core: CoreProcess): void {
    try {
      this.reply(value, core);
    } catch (error) {
      this.fail(error);
    }
  }

  #keep(value: unknown, keeper: OutcomeKeeper): void {
    try {
      keeper.returned(value);
    } catch (error) {
      throw this.#sayOfWhat(error, 'result');
    }
  }

  fail(error: unknown): void {
    if (this.answered) return;
    const encodedError = encodeError(error);
    this.keeper?.failed(encodedError);
    this.sendAnswer([RECORD.failure, this.number, encodedError]);
  }

  /** The call did not run. */
  refuse(error: unknown): void {
    if (this.answered) return;
    this.sendAnswer([RECORD.refused, this.number, encodeError(error)]);
    this.keeper?.skipped();
  }

  sendAnswer(record: unknown[], segments?: Uint8Array[]): void {
    this.answered = true;
    if (!this.cancelled) this.channel.send(record, segments);
    this.listener?.answered(this);
  }

  #sendBytes(bytes: Uint8Array, isBuffer: boolean): void {
    this.answered = true;
    if (!this.cancelled) this.channel.sendBytes(RECORD.result, this.number, bytes, isBuffer);
    this.listener?.answered(this);
  }

  startStream(): void {
    this.channel.send([RECORD.stream, this.number]);
    this.listener?.streams();
  }

  #handOver(
    value: unknown,
    core: CoreProcess,
    path: 'result' | 'item',
  ): OutgoingValue | Promise<OutgoingValue> {
    try {
      return core.values.handOver(value, path, this.channel.peer.processId, this.caller);
    } catch (error) {
      throw this.#sayOfWhat(error, path);
    }
  }

  /** What cannot be sent is named together with the call that made it. */
  #sayOfWhat(error: unknown, path: 'result' | 'item'): unknown {
    if (!(error instanceof SerializationError)) return error;
    const message = `The ${path} of ${this.label}: ${error.message}`;
    this.unsendable = new SerializationError(message, error.path, { cause: error.cause });
    return this.unsendable;
  }

  /** A promise: the item is sent once the store has room for it. */
  sendItem(value: unknown, core: CoreProcess): Promise<void> | undefined {
    if (isPrimitive(value)) {
      this.channel.send([RECORD.item, this.number, value]);
      return undefined;
    }
    const outgoing = this.#handOver(value, core, 'item');
    if (outgoing instanceof Promise) return outgoing.then((stored) => this.#sendItem(stored));
    this.#sendItem(outgoing);
    return undefined;
  }

  #sendItem(value: OutgoingValue): void {
    if (Array.isArray(value) || value.byteLength < SEGMENT_THRESHOLD_BYTES)
      this.channel.send([RECORD.item, this.number, value]);
    else this.channel.send([RECORD.itemSegment, this.number], [value]);
  }

  endStream(error?: unknown): void {
    if (this.answered) return;
    this.keeper?.skipped();
    this.sendAnswer(
      error === undefined
        ? [RECORD.end, this.number]
        : [RECORD.end, this.number, encodeError(error)],
    );
  }
}
