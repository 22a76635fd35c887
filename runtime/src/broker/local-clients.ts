import { randomBytes } from 'node:crypto';
import type { Clock } from '../time/clock.ts';
import {
  MemoryTransport,
  type LocalBus,
  type MemoryMessage,
  type MemorySubscription,
} from '../transport/memory-transport.ts';
import type { Transport } from '../transport/transport.ts';
import type { BrokerStats } from './broker-options.ts';
import type { BrokerSubscription, PublishedMessage, Router, RouterClient } from './router.ts';

/** Between two tries of a client that a test has cut off. */
const RECONNECT_MS = 50;

export interface LocalClientsOptions {
  readonly clock: Clock;
  readonly maxPayloadBytes: number;
  readonly router: Router;
  readonly counters: BrokerStats;
  /** Tests may refuse a client. */
  admits(name: string): boolean;
}

/**
 * The clients of a broker that live in its own process: the same messages, without sockets and the protocol between.
 * A message takes microtasks from one to the other, and saves each side a turn of the event loop.
 */
export class LocalClients implements LocalBus {
  readonly clock: Clock;
  readonly maxPayloadBytes: number;
  readonly router: Router;
  readonly counters: BrokerStats;
  readonly #clients = new Map<MemoryTransport, LocalClient>();
  readonly #admits: (name: string) => boolean;
  #tasks: (() => void)[] = [];
  #isClosed = false;

  constructor(options: LocalClientsOptions) {
    this.clock = options.clock;
    this.maxPayloadBytes = options.maxPayloadBytes;
    this.router = options.router;
    this.counters = options.counters;
    this.#admits = (name) => options.admits(name);
  }

  get count(): number {
    return this.#clients.size;
  }

  connect(name: string): Transport {
    const transport = new MemoryTransport(this, name, `_INBOX.${randomBytes(11).toString('hex')}`);
    if (this.#isClosed) transport.lost();
    else this.#clientOf(transport);
    return transport;
  }

  disconnect(matches: (clientName: string) => boolean): number {
    const hit = [...this.#clients.keys()].filter(({ name }) => matches(name));
    for (const transport of hit) {
      transport.lost();
      this.#restoreLater(transport);
    }
    return hit.length;
  }

  /** The broker is gone: to its clients it is as if their connections were lost. */
  close(): void {
    this.#isClosed = true;
    for (const transport of this.#clients.keys()) transport.lost();
  }

  // --- for the transports -------------------------------------------------------------------

  schedule(task: () => void): void {
    if (this.#tasks.push(task) === 1) queueMicrotask(() => this.#runTasks());
  }

  add(subscription: MemorySubscription): void {
    this.#clientOf(subscription.client).add(subscription);
  }

  remove(subscription: MemorySubscription): void {
    this.#clientOf(subscription.client).remove(subscription);
  }

  forget(transport: MemoryTransport): void {
    this.#clients.delete(transport);
  }

  route(publisher: MemoryTransport, { subject, payload, reply }: MemoryMessage): boolean {
    this.counters.messagesIn++;
    return this.router.publish(this.#clientOf(publisher), {
      subject: toWire(subject),
      reply: reply === undefined ? undefined : toWire(reply),
      headerBytes: 0,
      payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
    });
  }

  #clientOf(transport: MemoryTransport): LocalClient {
    let client = this.#clients.get(transport);
    if (client === undefined) {
      client = new LocalClient(transport, this);
      this.#clients.set(transport, client);
    }
    return client;
  }

  #restoreLater(transport: MemoryTransport): void {
    const restore = (): void => {
      if (this.#isClosed || !this.#clients.has(transport)) return;
      if (this.#admits(transport.name)) transport.restored();
      else this.#restoreLater(transport);
    };
    this.clock.after(RECONNECT_MS, restore, { unref: true });
  }

  #runTasks(): void {
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) task();
  }
}

/** One of them, as the router sees it. What it is sent waits nowhere: it is handled before anything else is read. */
class LocalClient implements RouterClient {
  readonly options: { readonly name: string; readonly echo: boolean };
  readonly congested = false;
  readonly #transport: MemoryTransport;
  readonly #bus: LocalClients;
  readonly #routed = new Map<MemorySubscription, BrokerSubscription>();
  readonly #byId = new Map<string, MemorySubscription>();
  #nextId = 1;

  constructor(transport: MemoryTransport, bus: LocalClients) {
    this.options = { name: transport.name, echo: true };
    this.#transport = transport;
    this.#bus = bus;
  }

  get open(): boolean {
    return this.#transport.status === 'connected';
  }

  add(subscription: MemorySubscription): void {
    if (this.#routed.has(subscription)) return;
    const id = String(this.#nextId++);
    const { subject, queue } = subscription;
    const routed: BrokerSubscription = {
      id,
      subject: toWire(subject),
      queue: queue === undefined ? undefined : toWire(queue),
      client: this,
      delivered: 0,
      maxMessages: undefined,
    };
    this.#routed.set(subscription, routed);
    this.#byId.set(id, subscription);
    this.#bus.router.add(routed);
  }

  remove(subscription: MemorySubscription): void {
    const routed = this.#routed.get(subscription);
    if (routed === undefined) return;
    this.#routed.delete(subscription);
    this.endSubscription(routed);
  }

  /** Code in this process cannot be made to wait; the limits of who receives hold. */
  stall(): void {}

  deliver(
    subscriptionId: string,
    { subject, reply, headerBytes, payload }: PublishedMessage,
  ): void {
    this.#bus.counters.messagesOut++;
    const message: MemoryMessage = {
      subject: fromWire(subject),
      // A copy: a view would keep the whole chunk that was read from a socket.
      payload: new Uint8Array(payload.subarray(headerBytes)),
      reply: reply === undefined ? undefined : fromWire(reply),
    };
    this.#bus.schedule(() => this.#byId.get(subscriptionId)?.receive(message));
  }

  endSubscription(subscription: BrokerSubscription): void {
    this.#byId.delete(subscription.id);
    this.#bus.router.remove(subscription);
  }
}

/** The router knows subjects as byte strings (see the parser). */
const toWire = (subject: string): string => Buffer.from(subject).toString('latin1');
const fromWire = (subject: string): string => Buffer.from(subject, 'latin1').toString();
