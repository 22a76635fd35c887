import type { TrieEntry } from '../broker/subject-trie.ts';
import type { Clock } from '../time/clock.ts';
import { PendingRequests } from './pending-requests.ts';
import {
  ANSWER_GRACE_MS,
  StatusBoard,
  UnansweredCount,
  checkPayload,
  closedError,
  lostError,
  reconnectingError,
  runHandler,
} from './transport-core.ts';
import type { ConnectionStatus, MessageHandler, Subscription, Transport } from './transport.ts';

/** What a client asks of a bus in its own process. */
export interface LocalBus {
  readonly clock: Clock;
  readonly maxPayloadBytes: number;
  /** Runs the task later, never in the call itself; tasks without a delay in the order they were given. */
  schedule(task: () => void, delayMs: number): void;
  add(subscription: MemorySubscription): void;
  remove(subscription: MemorySubscription): void;
  /** The client is closed. */
  forget(client: MemoryTransport): void;
  /** False when there is nobody to take the message. */
  route(publisher: MemoryTransport, message: MemoryMessage): boolean;
}

export interface MemorySubscription extends TrieEntry {
  readonly client: MemoryTransport;
  receive(message: MemoryMessage): void;
}

export interface MemoryMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly reply: string | undefined;
}

/** One client of a bus in this process: of a MemoryBus, or of the broker without a socket between. */
export class MemoryTransport implements Transport {
  readonly name: string;
  readonly #bus: LocalBus;
  readonly #inbox: string;
  readonly #pending: PendingRequests;
  readonly #unanswered = new UnansweredCount();
  readonly #board = new StatusBoard();
  readonly #subscriptions = new Set<MemorySubscription>();
  #draining = false;

  constructor(bus: LocalBus, name: string, inbox: string) {
    this.#bus = bus;
    this.name = name;
    this.#inbox = inbox;
    this.#pending = new PendingRequests(bus.clock);
    this.#subscribe(`${inbox}.*`, undefined, (message) => {
      this.#pending.reply(message.subject.slice(inbox.length + 1), message.payload);
    });
  }

  get status(): ConnectionStatus {
    return this.#board.status;
  }

  get maxPayloadBytes(): number {
    return this.#bus.maxPayloadBytes;
  }

  onStatus(listener: (status: ConnectionStatus) => void): () => void {
    return this.#board.listen(listener);
  }

  async request(
    subject: string,
    payload: Uint8Array,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Uint8Array> {
    if (this.status === 'closed' || this.#draining) throw closedError();
    if (this.status === 'reconnecting') throw reconnectingError();
    checkPayload(payload, this.maxPayloadBytes, subject);
    return this.#pending.start(subject, options, (token) => {
      this.#send({ subject, payload: copyOf(payload), reply: `${this.#inbox}.${token}` }, () => {
        this.#pending.noResponders(token);
      });
    });
  }

  publish(subject: string, payload: Uint8Array): void {
    if (this.status === 'closed') throw closedError();
    checkPayload(payload, this.maxPayloadBytes, subject);
    if (this.status === 'connected')
      this.#send({ subject, payload: copyOf(payload), reply: undefined });
  }

  subscribe(
    subject: string,
    handler: MessageHandler,
    options: { queue?: string } = {},
  ): Subscription {
    if (this.status === 'closed' || this.#draining) throw closedError();
    const subscription = this.#subscribe(subject, options.queue, (message) => {
      this.#onMessage(handler, message);
    });
    return { unsubscribe: () => this.#unsubscribe(subscription) };
  }

  async flush(): Promise<void> {
    if (this.status === 'closed') throw closedError();
    if (this.status === 'reconnecting') throw reconnectingError();
    // To the bus and back.
    await this.#turn();
    await this.#turn();
  }

  async drain(): Promise<void> {
    if (this.#draining || this.status !== 'connected') return this.close();
    this.#draining = true;
    for (const subscription of this.#subscriptions) {
      if (!subscription.subject.startsWith(this.#inbox)) this.#bus.remove(subscription);
    }
    await this.flush();
    await Promise.race([
      this.#unanswered.whenZero(),
      new Promise<void>((resolve) => {
        this.#bus.clock.after(ANSWER_GRACE_MS, resolve, { unref: true });
      }),
    ]);
    await this.#pending.whenEmpty();
    await this.flush();
    await this.close();
  }

  async close(): Promise<void> {
    for (const subscription of this.#subscriptions) this.#bus.remove(subscription);
    this.#subscriptions.clear();
    this.#bus.forget(this);
    this.#board.change('closed');
    this.#pending.rejectAll(closedError);
  }

  /** Called by the bus. */
  lost(): void {
    for (const subscription of this.#subscriptions) this.#bus.remove(subscription);
    this.#board.change('reconnecting');
    this.#pending.rejectAll(lostError);
  }

  /** Called by the bus. */
  restored(): void {
    for (const subscription of this.#subscriptions) this.#bus.add(subscription);
    this.#board.change('connected');
  }

  #send(message: MemoryMessage, unreached?: () => void): void {
    this.#bus.schedule(() => {
      if (this.status !== 'connected') return;
      if (!this.#bus.route(this, message)) unreached?.();
    }, 0);
  }

  #subscribe(
    subject: string,
    queue: string | undefined,
    onMessage: (message: MemoryMessage) => void,
  ): MemorySubscription {
    const subscription: MemorySubscription = {
      subject,
      queue,
      client: this,
      receive: (message) => {
        if (this.#subscriptions.has(subscription) && this.status === 'connected')
          onMessage(message);
      },
    };
    this.#subscriptions.add(subscription);
    // In order with what this client publishes, and not earlier than over a wire.
    this.#bus.schedule(() => {
      if (this.#subscriptions.has(subscription) && this.status === 'connected')
        this.#bus.add(subscription);
    }, 0);
    return subscription;
  }

  #unsubscribe(subscription: MemorySubscription): void {
    this.#subscriptions.delete(subscription);
    this.#bus.remove(subscription);
  }

  #onMessage(handler: MessageHandler, message: MemoryMessage): void {
    const { reply: replySubject } = message;
    const reply =
      replySubject === undefined
        ? undefined
        : this.#unanswered.track((payload) => this.publish(replySubject, payload));
    runHandler(handler, message.payload, message.subject, reply);
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#bus.schedule(resolve, 0);
    });
  }
}

/** As the wire would: the caller may use its buffer again. `slice` of a Buffer would not copy. */
function copyOf(payload: Uint8Array): Uint8Array {
  return new Uint8Array(payload);
}
