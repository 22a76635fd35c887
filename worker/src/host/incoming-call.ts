import type { RunningCall } from '@manta/runtime/actor/host-context';
import type { Channel } from '@manta/runtime/channel/channel';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { OutgoingValue } from '@manta/runtime/core/object-values';
import { SerializationError } from '@manta/runtime/errors/errors';
import { isPrimitive, rawFormOf, rawRecord } from '@manta/runtime/objects/payload';
import { taskIdOf } from '@manta/runtime/tasks/task-id';
import type { Caller } from '@manta/runtime/rpc/caller-record';
import { RECORD, SEGMENT_THRESHOLD_BYTES } from '@manta/runtime/rpc/records';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import type { Moment } from '@manta/runtime/time/turn-clock';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { CallHost } from './call-host.ts';
import { DEFAULT_GROUP, type MailboxEntry } from './mailbox.ts';

const NO_ARGUMENTS: readonly unknown[] = [];

/** A call as the actor's process sees it, from its arrival to its answer. */
export class IncomingCall implements MailboxEntry, RunningCall {
  readonly channel: Channel;
  readonly number: number;
  readonly methodName: string;
  #args: readonly unknown[];
  group = DEFAULT_GROUP;
  readonly instance: CallHost;
  /** Task workers: the number of the function. */
  methodNumber = 0;
  /** Who will own the result, where it said so. */
  caller: Caller | undefined = undefined;
  idempotencyKey: string | undefined = undefined;
  maxBufferedItems: number | undefined = undefined;
  cancelled = false;
  running = false;
  answered = false;
  /** When it came; not set on those that are answered within their turn. */
  arrival: Moment | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #cancelReason: unknown = undefined;
  /** What the value threw that could not be sent: not the user's error. */
  unsendable: SerializationError | undefined = undefined;
  /** Streams: how the consumer's credit reaches the producer. */
  onCredit: ((items: number) => void) | undefined = undefined;
  answerListener: { answered(call: IncomingCall): void } | undefined = undefined;
  /** It was cancelled before it ran (idempotency keys: another call has to run in its place). */
  onSkipped: (() => void) | undefined = undefined;
  /** Sees the answer before it is sent (idempotency keys). */
  onRecord: ((record: unknown[], segments: Uint8Array[] | undefined) => void) | undefined =
    undefined;

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
  get incarnation(): number {
    return this.instance.incarnation;
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
    this.answerListener?.answered(this);
    this.onSkipped?.();
    this.instance.skipped?.(this);
  }

  /** A task that has not started goes back to its submitter, which sends it elsewhere. */
  giveBack(reason: number): void {
    if (this.running || this.answered) return;
    this.cancelled = true;
    this.answered = true;
    this.sendReturned(reason);
    this.answerListener?.answered(this);
  }

  sendReturned(reason: number): void {
    this.channel.send([RECORD.returned, this.number, reason]);
  }

  reply(value: unknown, core: CoreProcess): void {
    if (this.answered) return;
    // Nobody takes the value of a call that was cancelled: it must not be stored for anybody.
    if (isPrimitive(value) || (this.cancelled && this.idempotencyKey === undefined)) {
      this.#answer([RECORD.result, this.number, value]);
      return;
    }
    const raw = rawFormOf(value);
    if (raw !== undefined) {
      this.#answer([RECORD.result, this.number, rawRecord(value as Uint8Array, raw)]);
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
      this.#answer([RECORD.result, this.number, value]);
    else this.#answer([RECORD.resultSegment, this.number], [value]);
  }

  fail(error: unknown): void {
    if (!this.answered) this.#answer([RECORD.failure, this.number, encodeError(error)]);
  }

  /** The call did not run. */
  refuse(error: unknown): void {
    if (!this.answered) this.#answer([RECORD.refused, this.number, encodeError(error)]);
  }

  #answer(record: unknown[], segments?: Uint8Array[]): void {
    this.answered = true;
    if (this.onRecord !== undefined) this.onRecord([...record], segments);
    this.sendAnswer(record, segments);
  }

  sendAnswer(record: unknown[], segments?: Uint8Array[]): void {
    this.answered = true;
    if (!this.cancelled) this.channel.send(record, segments);
    this.answerListener?.answered(this);
  }

  startStream(): void {
    this.channel.send([RECORD.stream, this.number]);
  }

  /** An answer that is kept for repeated calls cannot be one caller's own blob. */
  #handOver(
    value: unknown,
    core: CoreProcess,
    path: 'result' | 'item',
  ): OutgoingValue | Promise<OutgoingValue> {
    const owner = this.idempotencyKey === undefined ? this.caller : undefined;
    try {
      return core.values.handOver(value, path, this.channel.peer.processId, owner);
    } catch (error) {
      if (!(error instanceof SerializationError)) throw error;
      const message = `The ${path} of ${this.label}: ${error.message}`;
      this.unsendable = new SerializationError(message, error.path, { cause: error.cause });
      throw this.unsendable;
    }
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
    this.#answer(
      error === undefined
        ? [RECORD.end, this.number]
        : [RECORD.end, this.number, encodeError(error)],
    );
  }
}
