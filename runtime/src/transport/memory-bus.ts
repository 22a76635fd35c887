import { SubjectTrie } from '../broker/subject-trie.ts';
import { systemClock, type Clock } from '../time/clock.ts';
import { LIMITS } from '../wire/limits.ts';
import {
  MemoryTransport,
  type LocalBus,
  type MemoryMessage,
  type MemorySubscription,
} from './memory-transport.ts';
import type { Transport } from './transport.ts';

/** Runs the task later, never in the call itself. Tasks with the same delay must run in the order they were given. */
export type Schedule = (task: () => void, delayMs: number) => void;

export interface MemoryDelivery {
  subject: string;
  publisher: string;
  receiver: string;
  payloadBytes: number;
}

export interface MemoryBusOptions {
  /** For deadlines. */
  clock?: Clock;
  /** Default: the next turn of the event loop, or the clock when there is a delay. */
  schedule?: Schedule;
  /** A number in [0, 1): chooses the member of a queue group. */
  random?: () => number;
  /** Default: the limit of control messages. */
  maxPayloadBytes?: number;
  /** Asked for each delivery; its answer is carried out. */
  onDelivery?: (delivery: MemoryDelivery) => 'deliver' | 'drop' | { delayMs: number };
}

/**
 * A message bus in this process with the semantics of NATS: at most once, order kept per publisher, delivery never in
 * the turn of the publish, requests that nobody listens to fail at once. For tests and simulations.
 */
export class MemoryBus implements LocalBus {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly maxPayloadBytes: number;
  readonly #options: MemoryBusOptions;
  readonly #random: () => number;
  readonly #trie = new SubjectTrie<MemorySubscription>();
  readonly #clients = new Set<MemoryTransport>();
  readonly #partitioned = new Set<string>();
  #nextClient = 0;

  constructor(options: MemoryBusOptions = {}) {
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.schedule = options.schedule ?? nextTurn(this.clock);
    this.maxPayloadBytes = options.maxPayloadBytes ?? LIMITS.controlMessageBytes;
    this.#random = options.random ?? Math.random;
  }

  connect(options: { name: string }): Transport {
    const client = new MemoryTransport(this, options.name, `_INBOX.${this.#nextClient++}`);
    this.#clients.add(client);
    return client;
  }

  /** From now on no message passes to or from the clients of this name; they do not notice. */
  partition(name: string): void {
    this.#partitioned.add(name);
  }

  heal(name: string): void {
    this.#partitioned.delete(name);
  }

  /** The clients of this name (default: all, as when the server goes) lose their connection, and notice. */
  disconnect(name?: string): void {
    for (const client of this.#clients)
      if (name === undefined || client.name === name) client.lost();
  }

  /** Ends what `disconnect` began; subscriptions are there again. */
  restore(name?: string): void {
    for (const client of this.#clients)
      if (name === undefined || client.name === name) client.restored();
  }

  // --- for the clients ----------------------------------------------------------------------

  add(subscription: MemorySubscription): void {
    this.#trie.add(subscription);
  }

  remove(subscription: MemorySubscription): void {
    this.#trie.remove(subscription);
  }

  forget(client: MemoryTransport): void {
    this.#clients.delete(client);
  }

  /** False when there is nobody to take the message. A message that is lost on its way was still taken. */
  route(publisher: MemoryTransport, message: MemoryMessage): boolean {
    if (this.#partitioned.has(publisher.name)) return true;
    const matches = this.#trie.match(message.subject);
    for (const subscription of matches.plain) this.#deliver(publisher, subscription, message);
    for (const members of matches.queues) {
      const member = members[Math.floor(this.#random() * members.length)];
      if (member !== undefined) this.#deliver(publisher, member, message);
    }
    return matches.plain.length + matches.queues.length > 0;
  }

  #deliver(
    publisher: MemoryTransport,
    subscription: MemorySubscription,
    message: MemoryMessage,
  ): void {
    const receiver = subscription.client.name;
    if (this.#partitioned.has(receiver)) return;
    const fault = this.#options.onDelivery?.({
      subject: message.subject,
      publisher: publisher.name,
      receiver,
      payloadBytes: message.payload.length,
    });
    if (fault === 'drop') return;
    const delayMs = typeof fault === 'object' ? fault.delayMs : 0;
    this.schedule(() => subscription.receive(message), delayMs);
  }
}

function nextTurn(clock: Clock): Schedule {
  return (task, delayMs) => {
    if (delayMs === 0) setImmediate(task);
    else clock.after(delayMs, task);
  };
}
