import { TaskCancelledError, TaskTimeoutError, type MantaError } from '../errors/errors.ts';
import type { ProcessId } from '../ids.ts';
import type { Maker } from '../lineage/recipe.ts';
import { ObjectRef, REF_STATE, type Content } from '../objects/object-ref.ts';
import { StoredValue } from '../objects/stored-value.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { Moment } from '../time/turn-clock.ts';
import type { ActorCaller } from './actor-caller.ts';
import type { CancelOptions, MethodInfo } from './caller-core.ts';
import { releaseArguments } from './arguments.ts';
import { abortCause, optionsAgain, type CallOptions } from './call-options.ts';
import { ObjectRefStream } from './object-ref-stream.ts';
import type { PeerConnection, PendingReply } from './peer-connection.ts';
import { RECORD } from './records.ts';
import { StreamBuffer, type StreamSource } from './stream-buffer.ts';

/** Where a call is: the words of `explain`. */
export type CallPhase = 'waiting-for-dependencies' | 'queued' | 'sent' | 'lost' | 'done';

/**
 * One call of an actor method, and at the same time the ref of its result: a call makes one object. What only some
 * calls need (options, timers, streams, kept arguments) is set only on those.
 */
export class ActorCall extends ObjectRef<unknown> implements PendingReply, StreamSource {
  readonly caller: ActorCaller;
  readonly method: MethodInfo;
  /** Until it is over. */
  values: unknown[] | undefined;
  /** Primitive arguments and no options: nothing to prepare. */
  plain = false;
  options: CallOptions | undefined = undefined;
  pins: Transferable[] | undefined = undefined;
  phase: CallPhase = 'queued';
  /** Since when it waits in this process; not set on those that are sent at once. */
  waitsSince: Moment | undefined = undefined;
  /** The number under which it was last sent. */
  number = 0;
  /** The call or task that has made it (CallerCore.parentNow). */
  parent: number;
  connection: PeerConnection | undefined = undefined;
  retriesLeft: number;
  stream: StreamBuffer | undefined = undefined;
  /** Items to drop because an earlier attempt delivered them. */
  skipItems = 0;
  /** Times that it was refused because an argument was lost. */
  argumentLosses = 0;
  /** It is made once more because the method threw. */
  isRetry = false;
  unlisten: (() => void) | undefined = undefined;

  constructor(caller: ActorCaller, method: MethodInfo, values: unknown[], retries: number) {
    super(caller.runtime);
    this.caller = caller;
    this.method = method;
    this.values = values;
    this.retriesLeft = retries;
    this.parent = caller.core.parentNow?.() ?? 0;
  }

  /** For a user who asks for a stream. Not kept here: a call must not hold who reads it. */
  openStream(): ObjectRefStream<unknown> {
    return new ObjectRefStream(this.#feed());
  }

  #feed(): StreamBuffer {
    this.stream ??= new StreamBuffer(this.runtime, this, this.options?.maxBufferedItems);
    if (this.phase === 'done')
      this.stream.finish(this.state === REF_STATE.failed ? { error: this.content } : undefined);
    return this.stream;
  }

  grant(items: number): void {
    this.connection?.channel.send([RECORD.credit, this.number, items]);
  }

  cancel(options?: CancelOptions): void {
    this.caller.cancel(this, 'cancelled', options);
  }

  // ── replies ──────────────────────────────────────────────────────────────────────────────────────────────
  onResult(value: unknown): void {
    let content: Content;
    try {
      content = this.#contentOf(value);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#remember(content);
    this.finish();
    if (this.stream !== undefined) this.stream.finish();
    this.resolve(content);
  }

  onFailure(encodedError: Uint8Array, ran: boolean): void {
    this.caller.onFailure(this, encodedError, ran);
  }

  onStream(): void {
    // Its user has disposed of it before anybody knew that it stands for a stream.
    if (this.state !== REF_STATE.pending) this.cancel();
    else this.skipItems = this.#feed().received;
  }

  onItem(value: unknown): void {
    if (this.skipItems > 0) {
      this.skipItems -= 1;
      this.connection?.onUnclaimed?.(value);
      this.grant(1);
      return;
    }
    const stream = this.#feed();
    const content = this.#contentOf(value);
    this.#remember(content, stream.received);
    stream.push(content);
  }

  #remember(content: Content, item?: number): void {
    if (content instanceof StoredValue) this.caller.core.lineage.keep(content, this, item);
  }

  /** How this call is made once more. */
  maker(): Maker {
    const { caller, method, options } = this;
    return {
      name: `${caller.className}.${method.name} of actor ${caller.actorId}`,
      option: 'maxTaskRetries',
      maxRetries: options?.maxTaskRetries ?? caller.settings.maxTaskRetries,
      again: (values, pins, retriesLeft) => {
        const caller = this.caller.core.actors.callerAgain(this.caller);
        const call = new ActorCall(caller, method, values, retriesLeft);
        call.options = optionsAgain(options);
        call.parent = 0;
        if (pins.length > 0) call.pins = pins;
        caller.again(call);
        return call;
      },
    };
  }

  onEnd(encodedError: Uint8Array | undefined): void {
    if (encodedError !== undefined) {
      this.caller.onFailure(this, encodedError, true);
      return;
    }
    this.finish();
    this.stream?.finish();
    this.resolve(undefined);
  }

  onLost(reason: MantaError): void {
    this.caller.onLost(this, reason);
  }

  #contentOf(value: unknown): Content {
    if (typeof value !== 'object' || value === null) return value as Content;
    return this.caller.core.receivePayload(
      value as Uint8Array | unknown[],
      this.connection?.channel.peer.processId as ProcessId,
    );
  }

  /** Uses up one of its retries; false: none is left. */
  takeRetry(): boolean {
    if (this.retriesLeft === 0) return false;
    if (this.retriesLeft > 0) this.retriesLeft -= 1;
    return true;
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** Ends the call with an error, wherever it is. */
  fail(error: unknown): void {
    if (this.phase === 'done') return;
    this.finish();
    this.stream?.finish({ error });
    this.reject(error);
  }

  failCancelled(reason: 'cancelled' | 'timeout'): void {
    const what = `${this.caller.className}.${this.method.name}`;
    this.fail(
      reason === 'cancelled'
        ? new TaskCancelledError(
            `The call of ${what} on actor ${this.caller.actorId} was cancelled.`,
            abortCause(this.options),
          )
        : new TaskTimeoutError(
            `The call of ${what} on actor ${this.caller.actorId} took longer than ${this.options?.timeoutMs} ms.`,
          ),
    );
  }

  /** Releases what the call held. */
  finish(): void {
    if (this.phase === 'done') return;
    this.phase = 'done';
    if (this.values !== undefined && !this.plain) releaseArguments(this.values);
    this.values = undefined;
    this.connection = undefined;
    if (this.unlisten !== undefined) {
      this.unlisten();
      this.unlisten = undefined;
    }
    if (this.pins !== undefined) {
      this.caller.core.unpin(this.pins);
      this.pins = undefined;
    }
    this.caller.onFinished();
  }

  /**
   * A ref whose method is no generator can still be iterated: the callee says when its result is a stream. Until somebody
   * does so, the call holds it: its producer waits until it is iterated over, cancelled or disposed of.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    yield* this.openStream();
    const value = await this;
    if (value !== undefined) {
      throw new TypeError(
        `${this.caller.className}.${this.method.name} did not return an iterable.`,
      );
    }
  }

  refs(): AsyncIterable<ObjectRef<unknown>> {
    return this.openStream().refs();
  }

  override [Symbol.dispose](): void {
    this.stream?.close();
    super[Symbol.dispose]();
  }
}
