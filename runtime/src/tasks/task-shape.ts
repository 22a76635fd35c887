import type { MantaError } from '../errors/errors.ts';
import { leasesToRequest } from './lease-policy.ts';
import { TASK_PHASE, type TaskCall } from './task-call.ts';
import type { LeaseTemplate, TaskFunction } from './task-function.ts';
import type { LeaseOwner, TaskLease } from './task-lease.ts';
import { isUnschedulable, leaseError } from './task-errors.ts';
import { TaskQueue } from './task-queue.ts';

/** What a shape asks of the submitter it belongs to. */
export interface ShapeOwner {
  now(): number;
  /** Look at the shape once more in this turn. */
  schedule(shape: TaskShape): void;
  request(shape: TaskShape): TaskLease;
  /** The lease is over: its process stays for others, or ends. */
  end(lease: TaskLease, how: 'return' | 'kill'): void;
  /** Holds the task back until its arguments are there. */
  hold(call: TaskCall): void;
  /** Finds out why the worker is gone, then repeats the task or fails it. */
  judge(call: TaskCall, lease: TaskLease): void;
  /** Calls `pump` again after a while. */
  later(shape: TaskShape, delayMs: number): void;
}

/** Without work a lease is kept so long. */
const IDLE_MS = 200;
/** Failed requests in a row are repeated after a while that doubles; then the tasks fail. */
const RETRY_DELAY_MS = 100;
const FAILURES_MAX = 6;

/**
 * Tasks that ask for the same resources, and the workers this process has leased for them. `pump` decides, once per
 * turn: which worker gets which task, how many more leases are asked for, which are given back, who gives up tasks
 * that have not started to one that has none.
 */
export class TaskShape implements LeaseOwner {
  readonly template: LeaseTemplate;
  readonly queue = new TaskQueue();
  readonly #owner: ShapeOwner;
  /** Those that were asked for and those that are there. */
  readonly leases: TaskLease[] = [];
  #failures = 0;
  #noRequestBefore = 0;
  /** A turn's answers are looked at once. */
  isScheduled = false;

  constructor(template: LeaseTemplate, owner: ShapeOwner) {
    this.template = template;
    this.#owner = owner;
  }

  /** Nothing is to be done for it. */
  get isIdle(): boolean {
    return this.leases.length === 0 && this.queue.size === 0;
  }

  add(call: TaskCall): void {
    this.queue.push(call);
    this.changed();
  }

  addFirst(calls: readonly TaskCall[]): void {
    this.queue.pushFirst(calls);
    this.changed();
  }

  // ── what leases say ──────────────────────────────────────────────────────────────────────────────────────
  changed(): void {
    if (!this.isScheduled) this.#owner.schedule(this);
  }

  givenBack(call: TaskCall): void {
    if (isOver(call)) return;
    this.addFirst([call]);
  }

  waits(call: TaskCall): void {
    this.#owner.hold(call);
  }

  lost(lease: TaskLease, calls: TaskCall[]): void {
    const [first, ...others] = calls;
    const again = others.filter((call) => !isOver(call));
    if (!lease.isKilled) for (const call of again) call.extra().isSuspect = true;
    if (first !== undefined && !isOver(first)) {
      if (lease.isKilled) again.unshift(first);
      else this.#owner.judge(first, lease);
    }
    this.#remove(lease);
    this.#owner.end(lease, 'kill');
    this.addFirst(again);
  }

  failed(lease: TaskLease, error: MantaError): void {
    this.#remove(lease);
    this.#owner.end(lease, 'kill');
    const errors = new Map<TaskFunction, MantaError>();
    const errorOf = ({ task }: TaskCall): MantaError => {
      const known = errors.get(task) ?? leaseError(task, error, lease.caller.news.last);
      errors.set(task, known);
      return known;
    };
    if (isUnschedulable(error)) this.#failUnschedulable(errorOf);
    else this.#failOrRetry(error.name === 'RuntimeEnvSetupError', errorOf);
    this.changed();
  }

  /** Each task waits as long as its own schedulingTimeoutMs says, unless workers of the shape are at work. */
  #failUnschedulable(errorOf: (call: TaskCall) => MantaError): void {
    if (this.leases.some(({ state }) => state === 'open')) return;
    const { schedulingTimeoutMs = 0 } = this.template;
    const now = this.#owner.now();
    for (const call of this.queue.waiting()) {
      const waitedMs = now - (call.extras?.queuedAt ?? 0);
      if (waitedMs >= schedulingTimeoutMs) call.fail(errorOf(call));
    }
  }

  #failOrRetry(isPermanent: boolean, errorOf: (call: TaskCall) => MantaError): void {
    this.#failures += 1;
    const isFinal = isPermanent || this.#failures >= FAILURES_MAX;
    if (isFinal && !this.leases.some(({ state }) => state === 'open')) {
      this.#failures = 0;
      for (const call of this.queue.waiting()) call.fail(errorOf(call));
      return;
    }
    const delayMs = RETRY_DELAY_MS * 2 ** Math.min(this.#failures, FAILURES_MAX);
    this.#noRequestBefore = this.#owner.now() + delayMs;
    this.#owner.later(this, delayMs + 1);
  }

  #remove(lease: TaskLease): void {
    const index = this.leases.indexOf(lease);
    if (index !== -1) this.leases.splice(index, 1);
  }

  /** Called every few milliseconds while there are leases. */
  tick(): void {
    for (const lease of this.leases) lease.tick();
    this.changed();
  }

  // ── decisions ────────────────────────────────────────────────────────────────────────────────────────────
  pump(): void {
    const now = this.#owner.now();
    for (const lease of this.leases) lease.measure(now);
    this.#distribute(now);
    this.#endLeases(now);
    this.#steal();
    this.#request(now);
  }

  #distribute(now: number): void {
    let progress = this.queue.size > 0;
    while (progress) {
      progress = false;
      const usable = this.leases.filter((lease) => lease.isUsable && !lease.isStalled);
      if (usable.length > 1) usable.sort((a, b) => a.unanswered - b.unanswered);
      const unanswered = usable.reduce((sum, lease) => sum + lease.unanswered, 0);
      const share = Math.ceil((this.queue.size + unanswered) / usable.length);
      for (const lease of usable) if (this.#fill(lease, share, now)) progress = true;
    }
  }

  #fill(lease: TaskLease, share: number, now: number): boolean {
    let sent = false;
    for (let call = this.queue.peek(); call !== undefined; call = this.queue.peek()) {
      if (lease.unanswered >= share || !lease.accepts(call)) break;
      this.queue.take();
      lease.send(call, now);
      this.#failures = 0;
      sent = true;
    }
    return sent;
  }

  #endLeases(now: number): void {
    for (const lease of [...this.leases]) {
      if (lease.state === 'requested') {
        if (this.queue.size === 0 && now - lease.idleSince > IDLE_MS) this.#end(lease);
      } else if (lease.state === 'open' && lease.unanswered === 0) {
        const isIdle = this.queue.size === 0 && now - lease.idleSince > IDLE_MS;
        if (lease.isEnding || isIdle) this.#end(lease);
      } else if (!lease.isKilled && lease.mustBeKilled) {
        lease.isKilled = true;
        lease.isEnding = true;
        this.#owner.end(lease, 'kill');
      }
    }
  }

  #end(lease: TaskLease): void {
    this.#remove(lease);
    this.#owner.end(lease, 'return');
  }

  /** A worker without tasks gets those that wait, not started, behind a task that takes long. */
  #steal(): void {
    if (this.queue.size > 0 || this.leases.length < 2) return;
    if (!this.leases.some((lease) => lease.isUsable && lease.unanswered === 0)) return;
    for (const lease of this.leases) if (lease.unanswered > 1 && lease.isStalled) lease.recall(1);
  }

  #request(now: number): void {
    if (this.queue.size === 0 || now < this.#noRequestBefore) return;
    const leases = this.leases.filter((lease) => lease.isUsable && !lease.isStalled).length;
    const unanswered = this.leases.filter(({ state }) => state === 'requested').length;
    const wanted = leasesToRequest({
      queued: this.queue.size,
      leases,
      unanswered,
      runMs: this.queue.peek()?.task.runMs,
    });
    for (let index = 0; index < wanted; index += 1) this.leases.push(this.#owner.request(this));
  }
}

const isOver = (call: TaskCall): boolean => call.phase === TASK_PHASE.done;
