import type { ChannelRecord } from '@manta/runtime/channel/channel';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import {
  ActorUnavailableError,
  InvalidArgumentError,
  ProtocolError,
} from '@manta/runtime/errors/errors';
import { RETURNED } from '@manta/runtime/rpc/records';
import { taskErrorFrom } from '@manta/runtime/serialization/error-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { ActorSpec, ClassReference } from '@manta/runtime/wire/messages';
import type { CallContext } from './call-context.ts';
import type { CallHost } from './call-host.ts';
import { DEFAULT_GROUP } from './mailbox.ts';
import type { IncomingCall } from './incoming-call.ts';
import { resultKind, type ResultKind } from './result-kind.ts';
import { isStream, runStream, type Stream } from './stream-sender.ts';
import type { LoadedFunction, TaskFunctions } from './task-functions.ts';
import { UnfinishedCalls } from './unfinished-calls.ts';

export interface ExecutorOptions {
  spec: ActorSpec;
  incarnation: number;
  gpuIds: string[];
  core: CoreProcess;
  clock: Clock;
  context: CallContext;
  functions: TaskFunctions;
  /** The running task waits for others; its CPUs may be lent meanwhile. */
  onBlocked(isBlocked: boolean): void;
}

/** A function as the holder of the lease numbers it. */
interface TaskEntry {
  name: string;
  reference: ClassReference;
  /** 0: no limit. */
  maxCalls: number;
  loaded: LoadedFunction | undefined;
}

/** Tasks run in one turn of the event loop for so long; then answers leave, and recalls and cancels are read. */
const TURN_MS = 2;
/** What takes longer lets the answers of those before it leave first. */
const LONG_MS = 1;
/** Shorter waits are not worth telling. */
const BLOCKED_AFTER_MS = 3;

/**
 * A lease as the worker process sees it: runs the tasks that its holder sends, one at a time and in order. While the
 * running one waits for refs, those behind it are given back: it may be one of them that it waits for.
 */
export class TaskExecutor implements CallHost {
  readonly spec: ActorSpec;
  readonly incarnation: number;
  readonly restarts = 0;
  readonly gpuIds: string[];
  readonly #options: ExecutorOptions;
  readonly #entries: (TaskEntry | undefined)[] = [];
  readonly #unfinished: UnfinishedCalls;
  #queue: IncomingCall[] = [];
  #head = 0;
  /** The task that runs; it went over an await, or its module loads. */
  #current: IncomingCall | undefined;
  #isScheduled = false;
  #turnStart = 0;
  #answersInTurn = 0;
  #startedAt = 0;
  #cancelTimer: (() => void) | undefined;
  #isBlocked = false;
  /** Nothing starts here any more. */
  #isEnding = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.spec = options.spec;
    this.incarnation = options.incarnation;
    this.gpuIds = options.gpuIds;
    this.#unfinished = new UnfinishedCalls({
      fulfilled: (call, value) => this.#fulfilled(call, value),
      rejected: (call, error) => {
        this.#fail(call, error);
        this.#ended(call);
        this.#run();
      },
    });
    options.core.waits.listen((isWaiting) => this.#onWaiting(isWaiting));
  }

  get isIdle(): boolean {
    return this.#current === undefined && this.#head === this.#queue.length;
  }

  /** One of its functions has run in this process as often as it may: the process takes no more leases. */
  get isSpent(): boolean {
    // Holders number many functions; only those that came here are looked at.
    return Object.values(this.#entries).some(
      (entry) => entry?.loaded !== undefined && isUsedUp(entry, entry.loaded),
    );
  }

  // ── what the holder says ─────────────────────────────────────────────────────────────────────────────────
  defineFunction([, , number, moduleUrl, exportKey, name, maxCalls]: ChannelRecord): void {
    if (
      typeof number !== 'number' ||
      typeof moduleUrl !== 'string' ||
      typeof exportKey !== 'string' ||
      typeof name !== 'string' ||
      typeof maxCalls !== 'number'
    ) {
      throw new ProtocolError('A malformed record about a task function.');
    }
    const reference = { moduleUrl, exportKey };
    this.#entries[number] = {
      name,
      reference,
      maxCalls,
      loaded: this.#options.functions.known(reference),
    };
  }

  methodName(number: number): string | undefined {
    return this.#entries[number]?.name;
  }

  groupOf(): string {
    return DEFAULT_GROUP;
  }

  receive(call: IncomingCall): void {
    if (this.#isBlocked || this.#isEnding) {
      call.giveBack(this.#isEnding ? RETURNED.ending : RETURNED.blocked);
      return;
    }
    this.#queue.push(call);
    if (this.#current === undefined && !this.#isScheduled) this.#run();
  }

  skipped(call: IncomingCall): void {
    call.sendReturned(RETURNED.cancelled);
  }

  exitActor(): never {
    throw new InvalidArgumentError('exitActor() is for actors; this is a task.');
  }

  // ── running ──────────────────────────────────────────────────────────────────────────────────────────────
  #run(): void {
    if (this.#turnStart === 0) this.#beginTurn();
    // A loop, not recursion: a long queue of synchronous tasks must not grow the stack.
    for (let call = this.#peek(); call !== undefined; call = this.#peek()) {
      const entry = this.#entries[call.methodNumber] as TaskEntry;
      if (entry.loaded === undefined) {
        this.#head += 1;
        this.#load(call, entry);
        return;
      }
      if (isUsedUp(entry, entry.loaded)) this.#isEnding = true;
      if (this.#isEnding) {
        this.#giveBackQueued(RETURNED.ending);
        return;
      }
      if (this.#mustYield(entry.loaded)) {
        this.#isScheduled = true;
        setImmediate(() => {
          this.#isScheduled = false;
          if (this.#current === undefined) this.#run();
        });
        return;
      }
      this.#head += 1;
      if (this.#start(call, entry.loaded)) return;
    }
  }

  #beginTurn(): void {
    this.#turnStart = performance.now();
    this.#answersInTurn = 0;
    process.nextTick(() => {
      this.#turnStart = 0;
    });
  }

  #mustYield({ runMs }: LoadedFunction): boolean {
    if (this.#answersInTurn === 0) return false;
    return runMs === undefined || runMs > LONG_MS || this.#startedAt - this.#turnStart > TURN_MS;
  }

  /** The next task that was not cancelled. */
  #peek(): IncomingCall | undefined {
    while (this.#head < this.#queue.length) {
      const call = this.#queue[this.#head] as IncomingCall;
      if (!call.cancelled) return call;
      this.#head += 1;
    }
    if (this.#queue.length > 0) this.#queue = [];
    this.#head = 0;
    return undefined;
  }

  #load(call: IncomingCall, entry: TaskEntry): void {
    this.#current = call;
    this.#options.functions.load(entry.reference, this.spec.setupTimeoutMs).then(
      (loaded) => {
        entry.loaded = loaded;
        this.#current = undefined;
        this.#queue = [call, ...this.#queue.slice(this.#head)];
        this.#head = 0;
        this.#run();
      },
      (error: unknown) => {
        call.fail(error);
        this.#current = undefined;
        this.#run();
      },
    );
  }

  /** True when the task goes on beyond this turn's run. */
  #start(call: IncomingCall, loaded: LoadedFunction): boolean {
    const { context } = this.#options;
    call.running = true;
    this.#current = call;
    this.#startedAt = performance.now();
    loaded.calls += 1;
    let result: unknown;
    let kind: ResultKind;
    try {
      result = context.apply(call, true, loaded.body, undefined, call.takeArguments() as never[]);
      kind = resultKind(result);
    } catch (error) {
      this.#fail(call, error);
      this.#measure(loaded);
      this.#ended(call);
      return false;
    }
    if (kind === 'promise') {
      this.#unfinished.wait(call, result as PromiseLike<unknown>);
      return true;
    }
    if (kind === 'stream') {
      this.#unfinished.wait(call, this.#sendStream(call, result as Stream));
      return true;
    }
    call.replyOrFail(result, this.#options.core);
    this.#measure(loaded);
    this.#ended(call);
    return false;
  }

  #measure(loaded: LoadedFunction): void {
    const now = performance.now();
    loaded.runMs = now - this.#startedAt;
    this.#startedAt = now;
  }

  #fulfilled(call: IncomingCall, value: unknown): void {
    try {
      if (isStream(value)) {
        this.#unfinished.wait(call, this.#sendStream(call, value));
        return;
      }
      if (!call.answered) call.replyOrFail(value, this.#options.core);
    } catch (error) {
      this.#fail(call, error);
    }
    const loaded = this.#entries[call.methodNumber]?.loaded;
    if (loaded !== undefined) this.#measure(loaded);
    this.#ended(call);
    this.#run();
  }

  async #sendStream(call: IncomingCall, stream: Stream): Promise<void> {
    const { core, context } = this.#options;
    try {
      await context.apply(call, true, runStream, undefined, [call, stream, core]);
      call.endStream();
    } catch (error) {
      const isOurs = error === call.unsendable;
      call.endStream(isOurs ? error : taskErrorFrom(error, { method: call.methodName }));
    }
  }

  #fail(call: IncomingCall, error: unknown): void {
    call.fail(taskErrorFrom(error, { method: call.methodName }));
  }

  #ended(call: IncomingCall): void {
    const { context, core } = this.#options;
    this.#answersInTurn += 1;
    if (call.cancelled) call.sendReturned(RETURNED.cancelled);
    context.leave();
    this.#current = undefined;
    if (core.waits.isWaiting) this.#onWaiting(false);
    core.waits.nextTask();
  }

  // ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────
  #onWaiting(isWaiting: boolean): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (!isWaiting) {
      if (!this.#isBlocked) return;
      this.#isBlocked = false;
      this.#options.onBlocked(false);
    } else if (this.#current?.running === true && !this.#isBlocked) {
      this.#cancelTimer = this.#options.clock.after(BLOCKED_AFTER_MS, () => this.#block());
    }
  }

  #block(): void {
    this.#isBlocked = true;
    this.#options.onBlocked(true);
    this.#giveBackQueued(RETURNED.blocked);
  }

  #giveBackQueued(reason: number): void {
    const queued = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    for (const call of queued) call.giveBack(reason);
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** The lease is over. */
  close(reason: string): void {
    this.#isEnding = true;
    this.#giveBackQueued(RETURNED.ending);
    const error = new ActorUnavailableError(reason);
    this.#current?.fail(error);
    this.#current?.cancel(error);
  }
}

/** `maxCalls` counts what ran in this process, whoever held it. */
function isUsedUp({ maxCalls }: TaskEntry, { calls }: LoadedFunction): boolean {
  return maxCalls > 0 && calls >= maxCalls;
}
