import { ActorUnavailableError, type MantaError } from '../errors/errors.ts';
import { isObjectRef, REF_STATE } from '../objects/object-ref.ts';
import { Payload } from '../objects/payload.ts';
import { refusedArguments, wireArguments } from '../rpc/arguments.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { recordOptions } from '../rpc/call-options.ts';
import type { PeerConnection, PendingReply } from '../rpc/peer-connection.ts';
import { RECORD, RETURNED } from '../rpc/records.ts';
import { LEASE_LIMITS } from './lease-policy.ts';
import { TASK_PHASE, TaskCall } from './task-call.ts';
import type { TaskFunction } from './task-function.ts';

/** What a lease tells the shape it belongs to. */
export interface LeaseOwner {
  /** It can take tasks, or takes none any more. */
  changed(): void;
  /** Its worker gives the task back; it did not run. */
  givenBack(call: TaskCall): void;
  /** One of its arguments is being made again. */
  waits(call: TaskCall): void;
  /** Its worker, or the way to it, is gone. In the order in which they were sent: the first was the one that ran. */
  lost(lease: TaskLease, calls: TaskCall[]): void;
  /** No worker was started. */
  failed(lease: TaskLease, error: MantaError): void;
}

/** Answers that a dead worker gave in its last moment may arrive after the word of its death. */
const LAST_ANSWERS_MS = 1_000;
/** A worker that has not answered for so many ticks is not counted on. Ticks, not time: this process may have been busy. */
const STALLED_TICKS = 2;
/** Between two requests to give tasks back. */
const RECALL_INTERVAL_MS = 50;

/**
 * One worker process that this process may send tasks to. For the head it is an actor; its calls are of this kind.
 *
 *              (1) connected          (2) connection lost, or dead
 *   requested ───────────────▶ open ───────────────▶ lost
 *       │ (3) dead, withdrawn    │ (4) given back      │ (5) its calls are accounted for
 *       └────────────────────────┴─────────────────────┴──▶ over
 */
export class TaskLease {
  readonly caller: ActorCaller;
  readonly #owner: LeaseOwner;
  readonly #now: () => number;
  state: 'requested' | 'open' | 'lost' | 'over' = 'requested';
  connection: PeerConnection | undefined;
  /** Where its worker runs. */
  nodeId: string | undefined = undefined;
  #port = 0;
  #stopListening: (() => void) | undefined;
  /** Functions that the worker knows, by number. */
  readonly #told: boolean[] = [];
  /** Tasks that are not answered. */
  unanswered = 0;
  /** How long they will take, as far as it is known. */
  #backlogMs = 0;
  /** The running task waits for others: nothing is sent until it has ended. */
  isBlocked = false;
  /** It takes no more tasks: its process has run as many as it may (maxCalls), or others wait for its place. */
  isEnding = false;
  /** It was killed on purpose: no task pays for it with a retry. */
  isKilled = false;
  /** The tasks that are to be killed with the worker when they are the one that runs. */
  readonly forced = new Set<TaskCall>();
  idleSince: number;
  #ticksWithoutAnswer = 0;
  #hasBecomeIdle = false;
  #measuredAt = 0;
  #answered = 0;
  #answeredFunction: TaskFunction | undefined;
  #recalledAt = Number.NEGATIVE_INFINITY;
  #sentByFunction: Map<TaskFunction, number> | undefined;
  #lostCalls: TaskCall[] = [];

  constructor(caller: ActorCaller, owner: LeaseOwner, now: () => number) {
    this.caller = caller;
    this.#owner = owner;
    this.#now = now;
    this.idleSince = now();
    this.#watch();
  }

  get isUsable(): boolean {
    return this.state === 'open' && !this.isBlocked && !this.isEnding;
  }

  /** It has tasks and has not answered lately. */
  get isStalled(): boolean {
    return this.unanswered > 0 && this.#ticksWithoutAnswer >= STALLED_TICKS;
  }

  tick(): void {
    this.#ticksWithoutAnswer += 1;
  }

  // ── its life ─────────────────────────────────────────────────────────────────────────────────────────────
  #watch(): void {
    const { caller } = this;
    caller.watchers.once(
      () =>
        caller.connectionState === 'dead' ||
        (this.state === 'requested' && caller.connectionState === 'open') ||
        (this.state === 'open' && !this.isEnding && caller.news.last?.wanted === true),
      () => this.#onCallerChanged(),
    );
  }

  #onCallerChanged(): void {
    if (this.state === 'over' || this.state === 'lost') return;
    if (this.caller.connectionState === 'dead') {
      this.#onDead(this.caller.deathError as MantaError);
      return;
    }
    if (this.state === 'requested') this.#open(this.caller.connection as PeerConnection);
    if (this.caller.news.last?.wanted === true && !this.isEnding) {
      this.isEnding = true;
      this.recall(1);
      this.#owner.changed();
    }
    this.#watch();
  }

  #open(connection: PeerConnection): void {
    this.connection = connection;
    this.nodeId = this.caller.news.last?.address?.nodeId;
    this.state = 'open';
    this.idleSince = this.#now();
    this.#port = connection.openPort(
      this.caller.actorId,
      this.caller.news.last?.incarnation as number,
    );
    this.#stopListening = connection.onLost(() => {
      if (this.state === 'open') this.#lose();
    });
    this.#owner.changed();
  }

  #onDead(error: MantaError): void {
    if (this.state === 'requested') {
      this.state = 'over';
      this.#owner.failed(this, error);
      return;
    }
    const { connection } = this;
    if (connection === undefined || connection.closed) return;
    this.caller.core.clock.after(
      LAST_ANSWERS_MS,
      () => {
        if (this.state !== 'open') return;
        this.#lostCalls = connection.takeBack(this.#isOurs);
        this.#lose();
      },
      { unref: true },
    );
    this.isEnding = true;
  }

  readonly #isOurs = (reply: PendingReply): reply is TaskCall =>
    reply instanceof TaskCall && reply.lease === this;

  /** The calls hear of it one by one, right after this. */
  #lose(): void {
    this.state = 'lost';
    queueMicrotask(() => {
      const calls = this.#lostCalls;
      this.#lostCalls = [];
      this.unanswered = 0;
      for (const call of calls) call.lease = undefined;
      this.#owner.lost(this, calls);
    });
  }

  lost(call: TaskCall, _reason: MantaError): void {
    this.#lostCalls.push(call);
  }

  /** Gives up the way to the worker; what becomes of the worker is the owner's business. */
  close(): void {
    // The connection may outlive it, for the next lease of that process.
    this.#stopListening?.();
    if (this.state === 'open' && this.connection?.closed === false)
      this.connection.closePort(this.#port);
    this.state = 'over';
  }

  // ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────
  accepts(call: TaskCall): boolean {
    if (!this.isUsable) return false;
    if (this.unanswered === 0) return true;
    if (this.isStalled) return false;
    // What may not be repeated, or may have killed a worker, goes alone: only the first of several has surely started.
    if (call.task.definition.maxRetries === 0 || call.extras?.isSuspect === true) return false;
    const backlogMs = this.#backlogMs + estimateMs(call.task);
    return backlogMs <= LEASE_LIMITS.backlogMs && this.unanswered < LEASE_LIMITS.depth;
  }

  /** Puts the task on the wire. A task one of whose arguments was lost meanwhile fails instead. */
  send(call: TaskCall, now: number): void {
    const connection = this.connection as PeerConnection;
    const values = call.values as unknown[];
    const { task } = call;
    if (values.some(isPending)) {
      this.#owner.waits(call);
      return;
    }
    call.phase = TASK_PHASE.sent;
    let record: unknown[];
    let segments: Uint8Array[] | undefined;
    if (call.extras === undefined && !values.some(isStructured)) {
      record = [RECORD.call, this.#port, call.number, task.number, values];
    } else {
      const refused = refusedArguments(values);
      if (refused !== undefined) {
        call.fail(refused.error);
        return;
      }
      const core = this.caller.core;
      const receiver = connection.channel.peer.processId;
      if (call.extras?.pins !== undefined) core.lend(call.extras.pins, receiver);
      const wire = wireArguments(values, core, receiver);
      segments = wire.segments;
      const options = recordOptions(call.extras?.options, wire.segmentArguments);
      record = [RECORD.call, this.#port, call.number, task.number, wire.args, options];
    }
    if (this.#told[task.number] !== true) this.#tell(task);
    this.#count(call, now);
    connection.expectAs(call.number, call);
    connection.channel.send(record, segments);
  }

  #tell({ number, definition }: TaskFunction): void {
    const { reference, name, maxCalls } = definition;
    this.#told[number] = true;
    this.connection?.channel.send([
      RECORD.taskFunction,
      this.#port,
      number,
      reference.moduleUrl,
      reference.exportKey,
      name,
      maxCalls,
    ]);
  }

  #count(call: TaskCall, now: number): void {
    const { task } = call;
    call.lease = this;
    if (this.unanswered === 0) {
      this.#measuredAt = now;
      this.#ticksWithoutAnswer = 0;
      this.#backlogMs = 0;
    }
    this.unanswered += 1;
    this.#backlogMs += estimateMs(task);
    const { maxCalls } = task.definition;
    if (maxCalls === 0) return;
    this.#sentByFunction ??= new Map();
    const sent = (this.#sentByFunction.get(task) ?? 0) + 1;
    this.#sentByFunction.set(task, sent);
    if (sent >= maxCalls) this.isEnding = true;
  }

  /** The worker has answered the task: it is free of it. */
  answered(call: TaskCall): void {
    this.#settle(call, true);
    this.#answered += 1;
    const { task } = call;
    this.#answeredFunction =
      this.#answered === 1 || this.#answeredFunction === task ? task : undefined;
  }

  /** The worker gives the task back, for the reason that it names. */
  returned(call: TaskCall, reason: number): void {
    this.#settle(call, reason === RETURNED.cancelled);
    if (reason === RETURNED.cancelled) return;
    const sent = this.#sentByFunction?.get(call.task);
    if (sent !== undefined) this.#sentByFunction?.set(call.task, sent - 1);
    if (reason === RETURNED.blocked && this.unanswered > 0) this.isBlocked = true;
    if (reason === RETURNED.ending) this.isEnding = true;
    this.#owner.givenBack(call);
  }

  #settle(call: TaskCall, isProgress: boolean): void {
    call.lease = undefined;
    this.unanswered -= 1;
    this.#backlogMs -= estimateMs(call.task);
    if (isProgress) this.#ticksWithoutAnswer = 0;
    if (this.unanswered === 0) {
      this.isBlocked = false;
      this.#hasBecomeIdle = true;
    }
    if (this.forced.size > 0) this.forced.delete(call);
    this.#owner.changed();
  }

  /** What was answered since the last look tells how long a task takes; looked at once per turn. */
  measure(now: number): void {
    if (this.#hasBecomeIdle) {
      this.#hasBecomeIdle = false;
      this.idleSince = now;
    }
    if (this.#answered === 0) return;
    this.#answeredFunction?.measured((now - this.#measuredAt) / this.#answered);
    this.#measuredAt = now;
    this.#answered = 0;
  }

  /** Asks for tasks that have not started, all but the first `keep`. */
  recall(keep: number): void {
    const now = this.#now();
    if (this.connection === undefined || this.unanswered <= keep) return;
    if (now - this.#recalledAt < RECALL_INTERVAL_MS) return;
    this.#recalledAt = now;
    const numbers = this.pending().map(({ number }) => number);
    this.connection.channel.send([RECORD.recall, numbers.slice(keep)]);
  }

  /** The tasks at the worker, in the order in which they run. */
  pending(): TaskCall[] {
    const calls: TaskCall[] = [];
    for (const reply of this.connection?.pending() ?? [])
      if (this.#isOurs(reply)) calls.push(reply);
    return calls;
  }

  /** The task that runs was cancelled with force. */
  get mustBeKilled(): boolean {
    const first = this.forced.size === 0 ? undefined : this.first();
    return first !== undefined && this.forced.has(first);
  }

  first(): TaskCall | undefined {
    for (const reply of this.connection?.pending() ?? []) if (this.#isOurs(reply)) return reply;
    return undefined;
  }

  unreachable(): MantaError {
    return new ActorUnavailableError(
      `The connection to the worker on node ${this.nodeId} broke, and what became of ` +
        `it is not known (lease ${this.caller.actorId}).`,
    );
  }
}

/** A task that was never measured is taken for a long one: nothing is sent behind it. */
const estimateMs = (task: TaskFunction): number => task.runMs ?? LEASE_LIMITS.backlogMs + 1;

const isPending = (value: unknown): boolean =>
  isObjectRef(value) && value.state === REF_STATE.pending;

const isStructured = (value: unknown): boolean => value instanceof Payload || isObjectRef(value);
