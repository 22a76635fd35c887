import { ActorDiedError, ActorUnavailableError, MantaError } from '../errors/errors.ts';
import { shutDownError } from '../errors/shut-down.ts';
import type { ActorId } from '../ids.ts';
import type { AnyObjectRef, RefOwnerRuntime } from '../objects/object-ref.ts';
import { isPrimitive } from '../objects/payload.ts';
import { decodeError } from '../serialization/error-codec.ts';
import type { ActorUpdate, ProcessAddress } from '../wire/messages.ts';
import { ActorCall } from './actor-call.ts';
import { ActorNews } from './actor-news.ts';
import { backpressureError, deathError, unavailableError } from './caller-errors.ts';
import { holdArguments, pendingDependencies } from './arguments.ts';
import { checkCallOptions, mayRetryException, type CallOptions } from './call-options.ts';
import { CallQueue } from './call-queue.ts';
import { awaitDependencies, prepareCall, sendCall, sendCancel, takeSent } from './call-steps.ts';
import type { CallerCore, CallerSettings, CancelOptions, MethodInfo } from './caller-core.ts';
import { mayGoAgain } from './lost-arguments.ts';
import { LostCalls } from './lost-calls.ts';
import type { PeerConnection } from './peer-connection.ts';
import { Watchers } from './watchers.ts';

type CallerState = 'waiting' | 'connecting' | 'open' | 'ending' | 'dead';

const RECONNECT_DELAY_MS = 100;
/** Answers that a dead actor gave in its last moment may arrive after the word of its death. */
const LAST_ANSWERS_MS = 1_000;

/**
 * This process's view of one actor, and the queue of its calls to it.
 *
 *              (1) alive            (2) connected
 *     waiting ───────────▶ connecting ───────▶ open
 *        ▲  ▲                 │ (3) failed      │ (4) connection lost / refused
 *        │  └─────────────────┴─────────────────┘
 *        └── (5) pending, restarting            any ──(6) dead──▶ dead, open ──(7) stopped from here──▶ ending
 *
 * Calls leave in the order in which they were made; calls that may be repeated after (4) go first, in their old
 * order. A call that was sent and may not be repeated waits for the head: dead gives ActorDiedError, all else
 * ActorUnavailableError, because it may have run.
 */
export class ActorCaller {
  readonly core: CallerCore;
  readonly runtime: RefOwnerRuntime;
  settings: CallerSettings;
  #state: CallerState = 'waiting';
  readonly news = new ActorNews();
  #connection: PeerConnection | undefined;
  #port = 0;
  #deathError: MantaError | undefined;
  readonly queue: CallQueue;
  readonly #lost: LostCalls;
  readonly watchers = new Watchers();
  #unfinished = 0;
  #isEnding = false;
  #cancelTimer: (() => void) | undefined;
  /** Those at its address do not take this process for one of the cluster: the next call tries again. */
  #isRefused = false;
  /** What led to nobody: hearing the same again is no reason to try at once. */
  #failedRevision: number | undefined;
  onIdle: (() => void) | undefined;
  /** Why the last attempt to connect failed, until one succeeds. */
  connectFailure: Error | undefined;
  /** The head has not answered the request to create the actor. */
  creating = false;
  /** The constructor's arguments, while there are refs among them whose values the head has not got. */
  awaitedArguments: readonly unknown[] | undefined;
  readonly madeAt: number;

  constructor(core: CallerCore, settings: CallerSettings) {
    this.core = core;
    this.runtime = core.runtime;
    this.settings = settings;
    this.queue = new CallQueue(core.turnClock);
    this.madeAt = core.clock.now();
    this.#lost = new LostCalls(
      core.clock,
      (call, reason) => this.#deathError ?? unavailableError(call, reason),
    );
  }

  get actorId(): ActorId {
    return this.settings.actorId;
  }
  get className(): string {
    return this.settings.className;
  }
  get unfinishedCalls(): number {
    return this.#unfinished;
  }
  get connectionState(): CallerState {
    return this.#state;
  }
  get connection(): PeerConnection | undefined {
    return this.#connection;
  }
  get deathError(): MantaError | undefined {
    return this.#deathError;
  }

  // ── calls ────────────────────────────────────────────────────────────────────────────────────────────────
  submit(method: MethodInfo, args: unknown[]): ActorCall {
    for (const arg of args) if (!isPrimitive(arg)) return this.#prepare(method, args, undefined);
    const call = new ActorCall(this, method, args, this.settings.maxTaskRetries);
    call.plain = true;
    this.#accept(call);
    return call;
  }

  submitWith(method: MethodInfo, args: unknown[], options: CallOptions): ActorCall {
    return this.#prepare(method, args, checkCallOptions(options));
  }

  #prepare(method: MethodInfo, args: unknown[], options: CallOptions | undefined): ActorCall {
    const { call, dependencies } = prepareCall(this, method, args, options);
    this.#accept(call, dependencies);
    return call;
  }

  /** A finished call is made once more. */
  again(call: ActorCall): void {
    holdArguments(call.values ?? []);
    this.#accept(call, pendingDependencies(call.values ?? []));
  }

  #accept(call: ActorCall, dependencies: readonly AnyObjectRef[] = []): void {
    this.#unfinished += 1;
    if (this.#unfinished === 1) this.core.callStarted();
    if (this.#state === 'dead') {
      call.fail(this.#deathError);
      return;
    }
    if (call.options?.signal?.aborted) {
      call.failCancelled('cancelled');
      return;
    }
    const { maxPendingCalls = Infinity } = this.settings;
    if (this.#unfinished > maxPendingCalls) {
      call.fail(backpressureError(this.settings));
      return;
    }
    if (dependencies.length > 0) awaitDependencies(call, dependencies, () => this.#flush());
    if (this.#state === 'open' && this.queue.isEmpty && call.phase === 'queued') {
      this.#send(call);
      return;
    }
    this.queue.push(call);
    if (this.#isRefused) this.#connect();
    else this.#flush();
  }

  #flush(): void {
    if (this.#state !== 'open' || this.queue.isEmpty) return;
    while (this.#state === 'open') {
      const call = this.queue.take(this.settings.allowOutOfOrderExecution);
      if (call === undefined) break;
      this.#send(call);
    }
    this.watchers.changed();
  }

  #send(call: ActorCall): void {
    const missing = call.plain ? [] : pendingDependencies(call.values ?? []);
    if (missing.length === 0) {
      sendCall(call, this.#connection as PeerConnection, this.#port, this.core);
      return;
    }
    this.queue.putBack(call);
    awaitDependencies(call, missing, () => this.#flush());
  }

  cancel(call: ActorCall, reason: 'cancelled' | 'timeout', options: CancelOptions = {}): void {
    if (call.phase === 'done') return;
    if (call.phase === 'sent') sendCancel(call.connection, call.number, reason, options);
    call.connection?.forget(call.number);
    call.failCancelled(reason);
    this.#flush();
  }

  // ── what comes back ──────────────────────────────────────────────────────────────────────────────────────
  onFailure(call: ActorCall, encodedError: Uint8Array, ran: boolean): void {
    const error = decodeError(encodedError);
    if (error instanceof ActorUnavailableError) {
      if (ran) this.#onKilled(call, error);
      else this.#onRefused(call);
      return;
    }
    if (error instanceof ActorDiedError && error.actorId === this.actorId) this.news.end();
    if (!ran && mayGoAgain(error, call.values, call, this.core)) {
      this.queue.requeue(call);
      this.#flush();
      return;
    }
    const rule = call.options?.retryExceptions ?? this.settings.retryExceptions;
    if (ran && mayRetryException(rule, error) && call.takeRetry()) {
      call.phase = 'queued';
      call.isRetry = true;
      this.queue.push(call);
      this.#flush();
      return;
    }
    call.fail(error);
  }

  /**
   * The actor is not, or no longer, at that address: neither this call nor those sent after it ran, so they go again
   * when the actor is there. Those sent before may be running, and are answered.
   */
  #onRefused(call: ActorCall): void {
    const { connection, number } = call;
    this.#requeue(call);
    for (const later of takeSent(this, connection, number)) this.#requeue(later);
    if (this.#connection !== connection) return;
    this.#disconnect();
    this.#cancelTimer?.();
    this.#cancelTimer = this.core.clock.after(RECONNECT_DELAY_MS, () =>
      this.core.actors.refresh(this.actorId),
    );
  }

  /** The actor was killed in a process that lives on (a shared one). */
  #onKilled(call: ActorCall, reason: MantaError): void {
    const { connection } = call;
    if (this.#connection === connection) this.#onConnectionLost();
    this.onLost(call, reason);
    for (const other of takeSent(this, connection)) this.onLost(other, reason);
  }

  onLost(call: ActorCall, reason: MantaError): void {
    if (call.phase === 'done') return;
    if (call.takeRetry()) {
      this.#requeue(call);
      this.#flush();
      return;
    }
    if (this.#state === 'dead') call.fail(this.#deathError);
    else this.#lost.add(call, reason);
  }

  /** A call that was sent goes again, before those that were not, when there is a connection. */
  #requeue(call: ActorCall): void {
    if (this.#state === 'dead') call.fail(this.#deathError);
    else this.queue.requeue(call);
  }

  // ── what the head says ───────────────────────────────────────────────────────────────────────────────────
  apply(update: ActorUpdate): void {
    const news = this.#state === 'dead' ? undefined : this.news.take(update);
    if (news === undefined) return;
    if (update.state === 'dead') {
      this.#die(deathError(this.actorId, this.className, update));
      return;
    }
    if (news.lived !== undefined) this.core.actors.lived(this.actorId, news.lived);
    if (update.state !== 'alive' || news.isNewLife) this.#leaveFormerLife();
    this.#heed(update);
  }

  /** The process of that life says that it has begun. */
  begun(incarnation: number, address: ProcessAddress): void {
    if (this.#state !== 'waiting') return;
    const update = this.news.begin(this.actorId, incarnation, address);
    if (update !== undefined) this.#heed(update);
  }

  /** This process has had it stopped: what is called from now on waits for its end. */
  stopped(): void {
    this.#isEnding = true;
    if (this.#state === 'open') this.#state = 'ending';
  }

  #heed(update: ActorUpdate): void {
    const mayConnect = this.#state === 'waiting' && update.revision !== this.#failedRevision;
    if (update.state === 'alive' && mayConnect) this.#connect();
    this.watchers.changed();
  }

  /** What was sent to a life that is over gets no answer, even where the connection hangs. */
  #leaveFormerLife(): void {
    const connection = this.#connection;
    this.#disconnect();
    const reason = new ActorUnavailableError(
      `The life of actor ${this.actorId} that had the call is over.`,
    );
    for (const call of takeSent(this, connection)) this.onLost(call, reason);
    this.#lost.settle();
  }

  #connect(): void {
    const update = this.news.last;
    if (update?.address === undefined) return;
    this.#state = 'connecting';
    this.#isRefused = false;
    this.#cancelTimer?.();
    this.core.connect(update.address).then(
      (connection) => this.#connected(connection, update),
      (error: unknown) => this.#connectFailed(update, error),
    );
  }

  #connected(connection: PeerConnection, update: ActorUpdate): void {
    if (this.#state !== 'connecting' || this.news.last !== update) {
      if (this.#state === 'connecting') this.#state = 'waiting';
      if (this.#state === 'waiting') this.#connect();
      return;
    }
    if (connection.closed) {
      this.#connectFailed(update, undefined);
      return;
    }
    this.#failedRevision = undefined;
    this.connectFailure = undefined;
    this.#connection = connection;
    this.#port = connection.openPort(this.actorId, update.incarnation);
    connection.onLost(() => {
      if (this.#connection === connection) this.#onConnectionLost();
    });
    this.#state = this.#isEnding ? 'ending' : 'open';
    this.#lost.settle();
    this.#flush();
    this.watchers.changed();
  }

  #connectFailed(update: ActorUpdate, error: unknown): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'waiting';
    this.connectFailure = error as Error | undefined;
    if (MantaError.is(error, 'AuthenticationError') || MantaError.is(error, 'ProtocolError')) {
      this.#isRefused = true;
      this.#failAll(error as MantaError);
      return;
    }
    if (this.news.last !== update && this.news.last?.state === 'alive') this.#connect();
    else this.#connectLater();
  }

  #onConnectionLost(): void {
    this.#disconnect();
    this.#connectLater();
  }

  /** To where the actor was, unless the head knows better by then. */
  #connectLater(): void {
    this.#failedRevision = this.news.last?.revision;
    this.core.actors.refresh(this.actorId);
    this.#cancelTimer?.();
    this.#cancelTimer = this.core.clock.after(RECONNECT_DELAY_MS, () => {
      if (this.#state === 'waiting' && this.news.last?.state === 'alive') this.#connect();
    });
  }

  #disconnect(): void {
    if (this.#state === 'dead') return;
    this.#connection = undefined;
    this.#state = 'waiting';
  }

  #failAll(error: MantaError): void {
    for (const call of this.queue.clear()) call.fail(error);
    this.#lost.settle();
  }

  #die(error: MantaError): void {
    const connection = this.#connection;
    this.#state = 'dead';
    this.#deathError = error;
    this.#connection = undefined;
    const failUnanswered = (): void =>
      takeSent(this, connection).forEach((call) => call.fail(error));
    if ((connection?.pendingCount ?? 0) > 0)
      this.core.clock.after(LAST_ANSWERS_MS, failUnanswered, { unref: true });
    this.#cancelTimer?.();
    this.#failAll(error);
    this.watchers.changed();
  }

  /** The actor cannot be created at all (name taken, head unreachable). */
  failCreation(error: MantaError): void {
    if (this.#state !== 'dead') this.#die(error);
  }

  created(): void {
    this.creating = false;
    this.watchers.changed();
  }

  onFinished(): void {
    this.#unfinished -= 1;
    if (this.#unfinished > 0) return;
    this.core.callFinished();
    this.onIdle?.();
    this.watchers.changed();
  }

  /** The last handle is gone, or this process leaves the cluster. */
  close(): void {
    if (this.#state === 'dead') return;
    if (this.#connection !== undefined && !this.#connection.closed)
      this.#connection.closePort(this.#port);
    this.#die(shutDownError(`actor ${this.actorId} (${this.className})`));
  }
}
