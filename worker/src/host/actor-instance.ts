import type { ActorConstructor } from '@manta/runtime/actor/host-context';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import {
  ActorDiedError,
  ActorUnavailableError,
  InvalidArgumentError,
} from '@manta/runtime/errors/errors';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { keyedStreamError } from '@manta/runtime/rpc/call-options';
import { taskErrorFrom, type FailedCall } from '@manta/runtime/serialization/error-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { CallContext } from './call-context.ts';
import type { CallHost } from './call-host.ts';
import type { IncomingCall } from './incoming-call.ts';
import { IdempotencyTable } from './idempotency-table.ts';
import { Mailbox } from './mailbox.ts';
import { resultKind, type ResultKind } from './result-kind.ts';
import { isStream, runStream, type Stream } from './stream-sender.ts';
import { UnfinishedCalls } from './unfinished-calls.ts';

/** Thrown by exitActor(); user code that catches everything may swallow it, so the exit is also noted. */
class ExitActor extends Error {
  override readonly name = 'ExitActor';
}

export interface InstanceOptions {
  spec: ActorSpec;
  incarnation: number;
  /** Default: `incarnation`. */
  restarts?: number | undefined;
  gpuIds: string[];
  core: CoreProcess;
  clock: Clock;
  context: CallContext;
  /** The actor is over, by its own doing. */
  onEnded(cause: DeathCause): void;
}

/** The time for a graceful end is over. */
const LATE = Symbol('late');

type Method = (...args: unknown[]) => unknown;

/** One life of one actor: its object, its mailbox, and the running of its methods. */
export class ActorInstance implements CallHost {
  readonly spec: ActorSpec;
  readonly incarnation: number;
  readonly restarts: number;
  readonly gpuIds: string[];
  readonly #options: InstanceOptions;
  readonly #mailbox: Mailbox<IncomingCall>;
  readonly #idempotency: IdempotencyTable;
  readonly #unfinished: UnfinishedCalls;
  /** Only one call at a time runs in this process: the context needs no tracking over awaits. */
  readonly #exclusive: boolean;
  #object: Record<string, unknown> | undefined;
  #ending: DeathCause | undefined;
  #ended = false;
  #onDrained: (() => void) | undefined;

  constructor(options: InstanceOptions) {
    this.#options = options;
    this.spec = options.spec;
    this.incarnation = options.incarnation;
    this.restarts = options.restarts ?? options.incarnation;
    this.gpuIds = options.gpuIds;
    const { isolation, maxConcurrency, concurrencyGroups } = options.spec;
    this.#mailbox = new Mailbox(maxConcurrency, concurrencyGroups);
    this.#idempotency = new IdempotencyTable(options.core);
    this.#exclusive =
      isolation !== 'shared' && maxConcurrency === 1 && concurrencyGroups === undefined;
    this.#unfinished = new UnfinishedCalls({
      fulfilled: (call, value) => this.#fulfilled(call, value),
      rejected: (call, error) => {
        this.#failed(call, error);
        this.#runNext(call);
      },
    });
  }

  /** Runs the constructor. @throws whatever it throws. */
  construct(actorClass: ActorConstructor, args: unknown[]): void {
    const call = { ...this.#constructorCall() };
    const make = (): object => new actorClass(...(args as never[]));
    this.#object = this.#options.context.apply(
      call as unknown as IncomingCall,
      this.#exclusive,
      make,
      undefined,
      [],
    ) as Record<string, unknown>;
    this.#options.context.leave();
  }

  #constructorCall(): object {
    return {
      spec: this.spec,
      restarts: this.restarts,
      gpuIds: this.gpuIds,
      signal: new AbortController().signal,
      exitActor: () => this.exitActor(),
    };
  }

  methodName(number: number): string | undefined {
    return this.spec.methods[number]?.name;
  }

  groupOf(methodName: string, requested: string | null | undefined): string {
    return requested ?? this.spec.concurrencyGroupOf?.[methodName] ?? 'default';
  }

  receive(call: IncomingCall): void {
    if (this.#ending !== undefined) {
      call.refuse(
        new ActorUnavailableError(`Actor ${this.spec.actorId} is ending: ${this.#ending.message}`),
      );
      return;
    }
    if (!this.#mailbox.has(call.group)) {
      call.refuse(
        new InvalidArgumentError(
          `Actor ${this.spec.actorId} (${this.spec.className}) has no concurrency group "${call.group}".`,
        ),
      );
      return;
    }
    if (
      call.idempotencyKey !== undefined &&
      !this.#idempotency.enter(call, (other) => this.receive(other))
    )
      return;
    if (this.#mailbox.accept(call)) this.#run(call);
  }

  #run(first: IncomingCall): void {
    let call: IncomingCall | undefined = first;
    // A loop, not recursion: a long queue of synchronous methods must not grow the stack.
    while (call !== undefined) {
      const unfinished = this.#invoke(call);
      if (unfinished !== undefined) {
        this.#unfinished.wait(call, unfinished);
        return;
      }
      call = this.#mailbox.next(call.group);
    }
    this.#checkDrained();
  }

  #fulfilled(call: IncomingCall, value: unknown): void {
    try {
      if (isStream(value)) {
        this.#unfinished.wait(call, this.#sendStream(call, value));
        return;
      }
      call.replyOrFail(value, this.#options.core);
    } catch (error) {
      this.#failed(call, error);
    }
    this.#runNext(call);
  }

  /** A call that went over awaits is over. */
  #runNext(ended: IncomingCall): void {
    if (this.#exclusive) this.#options.context.leave();
    const next = this.#mailbox.next(ended.group);
    if (next !== undefined) this.#run(next);
    else this.#checkDrained();
  }

  /** The promise of what is left to do when the call has not ended within this turn. */
  #invoke(call: IncomingCall): PromiseLike<unknown> | undefined {
    const { context, core } = this.#options;
    call.running = true;
    let result: unknown;
    let kind: ResultKind;
    try {
      const method = (this.#object as Record<string, unknown>)[call.methodName] as Method;
      const args = call.takeArguments() as unknown[];
      result = context.apply(call, this.#exclusive, method, this.#object, args);
      kind = resultKind(result);
    } catch (error) {
      context.leave();
      this.#failed(call, error);
      return undefined;
    }
    if (kind === 'promise') {
      if (!this.#exclusive) context.leave();
      return result as PromiseLike<unknown>;
    }
    if (kind === 'stream') {
      const sending = this.#sendStream(call, result as Stream);
      if (!this.#exclusive) context.leave();
      return sending;
    }
    context.leave();
    call.replyOrFail(result, core);
    return undefined;
  }

  async #sendStream(call: IncomingCall, iterable: Stream): Promise<void> {
    const { core, context } = this.#options;
    if (call.idempotencyKey !== undefined) {
      call.fail(keyedStreamError(call.label));
      return;
    }
    try {
      await context.apply(call, this.#exclusive, runStream, undefined, [call, iterable, core]);
      call.endStream();
    } catch (error) {
      if (this.#isExit(error)) call.endStream(this.#exitError());
      else if (error === call.unsendable) call.endStream(error);
      else call.endStream(taskErrorFrom(error, this.#failedCall(call)));
    }
  }

  #failed(call: IncomingCall, error: unknown): void {
    if (this.#isExit(error)) call.fail(this.#exitError());
    else call.fail(taskErrorFrom(error, this.#failedCall(call)));
  }

  #failedCall(call: IncomingCall): FailedCall {
    return { method: call.methodName, className: this.spec.className, actorId: this.spec.actorId };
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────
  exitActor(): never {
    this.end({ kind: 'exited', message: `Actor ${this.spec.actorId} called exitActor().` }, 0);
    throw new ExitActor();
  }

  #isExit(error: unknown): boolean {
    return error instanceof ExitActor;
  }

  #exitError(): ActorDiedError {
    const deathCause = this.#ending ?? { kind: 'exited', message: 'exitActor() was called.' };
    return new ActorDiedError(
      `Actor ${this.spec.actorId} (${this.spec.className}) is dead: ${deathCause.message}`,
      {
        actorId: this.spec.actorId,
        deathCause,
      },
    );
  }

  /**
   * Takes no more calls, lets queued and running ones finish for at most `drainMs`, disposes, and reports the end. All of
   * it has gracefulShutdownMs: what the calls have used the disposal does not get.
   */
  end(cause: DeathCause, drainMs = this.spec.gracefulShutdownMs): void {
    if (this.#ending !== undefined) return;
    this.#ending = cause;
    if (cause.kind === 'exited') this.#refuseQueued();
    const { clock } = this.#options;
    let cancelGrace: (() => void) | undefined;
    const graceIsOver = new Promise<typeof LATE>((resolve) => {
      const end = (): void => resolve(LATE);
      cancelGrace = clock.after(this.spec.gracefulShutdownMs, end, { unref: true });
    });
    const dispose = async (): Promise<void> => {
      this.#onDrained = undefined;
      cancelDrain();
      await this.#dispose(graceIsOver);
      cancelGrace?.();
    };
    const cancelDrain = clock.after(drainMs, () => void dispose(), { unref: true });
    this.#onDrained = () => void dispose();
    // Not now: the call that asked for the end is still on the stack.
    setImmediate(() => this.#checkDrained());
  }

  #refuseQueued(): void {
    for (const call of this.#mailbox.clear()) call.refuse(this.#exitError());
  }

  #checkDrained(): void {
    if (this.#ending === undefined || this.#onDrained === undefined) return;
    if (!this.#mailbox.idle && this.#ending.kind !== 'exited') return;
    this.#onDrained();
  }

  async #dispose(graceIsOver: Promise<typeof LATE>): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.abandon(this.#exitError());
    const object = this.#object as {
      [Symbol.asyncDispose]?: () => unknown;
      [Symbol.dispose]?: () => unknown;
    };
    const dispose = object?.[Symbol.asyncDispose] ?? object?.[Symbol.dispose];
    const { actorId, className, gracefulShutdownMs } = this.spec;
    const label = `Disposing of actor ${actorId} (${className})`;
    try {
      if (dispose !== undefined) {
        const outcome = await Promise.race([dispose.call(object), graceIsOver]);
        if (outcome === LATE)
          console.error(
            `${label} was given up: its gracefulShutdownMs (${gracefulShutdownMs}) are over.`,
          );
      }
    } catch (error) {
      console.error(`${label} failed:`, error);
    }
    this.#options.onEnded(this.#ending as DeathCause);
  }

  /** Ends at once whatever is running or queued, with this error. */
  abandon(error: Error): void {
    this.#ending ??= { kind: 'killed', message: 'It was killed.' };
    this.#ended = true;
    for (const call of [...this.#unfinished.calls(), ...this.#mailbox.clear()]) {
      call.fail(error);
      call.cancel(error);
    }
  }
}
