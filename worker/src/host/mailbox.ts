/** One accepted call, as the mailbox sees it. */
export interface MailboxEntry {
  readonly group: string;
  cancelled: boolean;
}

interface Group<E> {
  limit: number;
  running: number;
  queue: E[];
  head: number;
}

export const DEFAULT_GROUP = 'default';

/**
 * Decides which call runs next. Each concurrency group has a quota of running calls and a queue in order of arrival;
 * with a quota of one, a call runs to its end, awaits included, before the next starts.
 */
export class Mailbox<E extends MailboxEntry> {
  readonly #groups = new Map<string, Group<E>>();
  readonly #default: Group<E>;
  #queued = 0;
  #running = 0;

  constructor(maxConcurrency: number, concurrencyGroups: Record<string, number> = {}) {
    for (const [name, limit] of Object.entries(concurrencyGroups)) this.#add(name, limit);
    // Last: nothing but maxConcurrency is the limit of the default group.
    this.#default = this.#add(DEFAULT_GROUP, maxConcurrency);
  }

  #add(name: string, limit: number): Group<E> {
    const group: Group<E> = { limit, running: 0, queue: [], head: 0 };
    this.#groups.set(name, group);
    return group;
  }

  has(group: string): boolean {
    return group === DEFAULT_GROUP || this.#groups.has(group);
  }

  get queued(): number {
    return this.#queued;
  }

  get running(): number {
    return this.#running;
  }

  get idle(): boolean {
    return this.#queued === 0 && this.#running === 0;
  }

  /** True when the call may run at once, and is counted as running; else it is queued. */
  accept(entry: E): boolean {
    const group = this.#groupOf(entry.group);
    if (group.running < group.limit && group.head === group.queue.length) {
      group.running += 1;
      this.#running += 1;
      return true;
    }
    group.queue.push(entry);
    this.#queued += 1;
    return false;
  }

  /** A running call of this group has ended; the next one to run, counted as running, if there is one. */
  next(groupName: string): E | undefined {
    const group = this.#groupOf(groupName);
    group.running -= 1;
    this.#running -= 1;
    while (group.head < group.queue.length) {
      const entry = group.queue[group.head] as E;
      group.head += 1;
      if (group.head > 1024 && group.head * 2 > group.queue.length) {
        group.queue.splice(0, group.head);
        group.head = 0;
      }
      this.#queued -= 1;
      if (entry.cancelled) continue;
      group.running += 1;
      this.#running += 1;
      return entry;
    }
    if (group.head > 0) {
      group.queue = [];
      group.head = 0;
    }
    return undefined;
  }

  /** Empties the queues; what was in them, in no particular order between groups. */
  clear(): E[] {
    const cleared: E[] = [];
    for (const group of this.#groups.values()) {
      for (const entry of group.queue.slice(group.head)) if (!entry.cancelled) cleared.push(entry);
      group.queue = [];
      group.head = 0;
    }
    this.#queued = 0;
    return cleared;
  }

  #groupOf(name: string): Group<E> {
    if (name === DEFAULT_GROUP) return this.#default;
    return this.#groups.get(name) ?? this.#default;
  }
}
