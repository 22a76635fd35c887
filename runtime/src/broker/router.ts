import type { Clock } from '../time/clock.ts';
import type { BrokerFaults, BrokerStats } from './broker-options.ts';
import { SubjectTrie, type TrieEntry } from './subject-trie.ts';

/** Who publishes and receives: a connection, or a client in this process. */
export interface RouterClient {
  readonly options: { readonly name: string; readonly echo: boolean };
  /** False from the moment it is given up: nothing is delivered to it any more. */
  readonly open: boolean;
  /** More than half of what may wait for it is waiting. */
  readonly congested: boolean;
  /** Stops taking messages from it for a moment, where that is possible. */
  stall(): void;
  deliver(subscriptionId: string, message: PublishedMessage): void;
  endSubscription(subscription: BrokerSubscription): void;
}

export interface BrokerSubscription extends TrieEntry {
  readonly id: string;
  readonly client: RouterClient;
  delivered: number;
  /** Ends by itself after so many messages. */
  maxMessages: number | undefined;
}

export interface PublishedMessage {
  subject: string;
  reply: string | undefined;
  /** The first bytes of `payload` are headers. */
  headerBytes: number;
  payload: Buffer;
}

export interface RouterParts {
  clock: Clock;
  random: () => number;
  faults: BrokerFaults | undefined;
  stats: BrokerStats;
}

/** Takes messages from publishers to the subscriptions that they reach. */
export class Router {
  readonly #trie = new SubjectTrie<BrokerSubscription>();
  readonly #parts: RouterParts;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  add(subscription: BrokerSubscription): void {
    this.#trie.add(subscription);
    this.#parts.stats.subscriptionsOpen = this.#trie.size;
  }

  remove(subscription: BrokerSubscription): void {
    this.#trie.remove(subscription);
    this.#parts.stats.subscriptionsOpen = this.#trie.size;
  }

  /** False when the message reached nobody. */
  publish(publisher: RouterClient, message: PublishedMessage): boolean {
    const matches = this.#trie.match(message.subject);
    let reached = false;
    for (const subscription of matches.plain) {
      if (this.#offer(publisher, subscription, message)) reached = true;
    }
    for (const members of matches.queues) {
      if (this.#offerToOne(publisher, members, message)) reached = true;
    }
    return reached;
  }

  /** Starts at a random member and goes on to the next one when that one does not take the message. */
  #offerToOne(
    publisher: RouterClient,
    members: readonly BrokerSubscription[],
    message: PublishedMessage,
  ): boolean {
    const start = Math.floor(this.#parts.random() * members.length);
    for (let step = 0; step < members.length; step++) {
      const member = members[(start + step) % members.length];
      if (member !== undefined && this.#offer(publisher, member, message)) return true;
    }
    return false;
  }

  #offer(
    publisher: RouterClient,
    subscription: BrokerSubscription,
    message: PublishedMessage,
  ): boolean {
    const receiver = subscription.client;
    if (!receiver.open || (receiver === publisher && !publisher.options.echo)) return false;
    if (
      subscription.maxMessages !== undefined &&
      subscription.delivered >= subscription.maxMessages
    ) {
      return false;
    }
    subscription.delivered++;
    this.#deliver(publisher, subscription, message);
    if (subscription.delivered === subscription.maxMessages) receiver.endSubscription(subscription);
    if (receiver.congested && receiver !== publisher) publisher.stall();
    return true;
  }

  #deliver(
    publisher: RouterClient,
    subscription: BrokerSubscription,
    message: PublishedMessage,
  ): void {
    const fault = this.#parts.faults?.onDelivery?.({
      subject: message.subject,
      publisher: publisher.options.name,
      receiver: subscription.client.options.name,
      payloadBytes: message.payload.length - message.headerBytes,
    });
    if (fault === undefined || fault === 'deliver')
      subscription.client.deliver(subscription.id, message);
    else if (fault !== 'drop') {
      this.#parts.clock.after(fault.delayMs, () =>
        subscription.client.deliver(subscription.id, message),
      );
    }
  }
}
