import {
  connect,
  createInbox,
  type Msg,
  type NatsConnection,
  type NodeConnectionOptions,
  type Subscription as NatsSubscription,
} from '@nats-io/transport-node';
import { LIMITS } from '../wire/limits.ts';
import { systemClock, type Clock } from '../time/clock.ts';
import { keepInBackground } from './background-connection.ts';
import { busTls, type BusTls } from './bus-tls.ts';
import { connectError, connectionError } from './nats-errors.ts';
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

export interface NatsTransportTls {
  /** The authority that signed the server's certificate, in PEM. */
  ca?: string;
  /** This client's own certificate and key, in PEM, where the server asks for them. */
  cert?: string;
  key?: string;
}

export interface NatsTransportOptions {
  /** `nats://host:port`, `tls://host:port` or `host:port`; the first that answers is used. */
  servers: readonly string[];
  token?: string;
  /** Shown by the server in its logs. */
  name: string;
  clock?: Clock;
  /** Restores a lost connection for ever; false: the first loss closes the transport. Default true. */
  reconnect?: boolean;
  /** Default: what `busTls` says of the servers. */
  tls?: NatsTransportTls;
  /** How often the server is asked for a sign of life; two unanswered ones count as a lost connection. Default 10 s. */
  pingIntervalMs?: number;
  /** For the first connection, and for each attempt to restore it. Default 5 s. */
  connectTimeoutMs?: number;
  /** The open connection alone does not keep this process alive; requests under way do. Default false. */
  background?: boolean;
}

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1_000;

/**
 * Connects to the embedded broker or any NATS server.
 * @throws AuthenticationError when the token is refused.
 * @throws ClusterUnavailableError when none of the servers answers, or none that can be trusted.
 * @throws InvalidArgumentError when the authority of a `tls://` server cannot be read.
 */
export async function connectNats(options: NatsTransportOptions): Promise<Transport> {
  const backoff = new Backoff();
  const tls = options.tls ?? (await busTls(options.servers));
  try {
    const connection = await connect(clientOptions(options, tls, backoff));
    if (tls === undefined && connection.info?.tls_required === true) {
      await connection.close();
      throw new Error('it takes TLS only: write tls:// in place of nats://');
    }
    return new NatsTransport(connection, options, backoff);
  } catch (error) {
    throw connectError(error, options.servers);
  }
}

function clientOptions(
  options: NatsTransportOptions,
  tls: NatsTransportTls | BusTls | undefined,
  backoff: Backoff,
): NodeConnectionOptions {
  const reconnect = options.reconnect ?? true;
  return {
    servers: [...options.servers],
    name: options.name,
    ...(options.token === undefined ? {} : { token: options.token }),
    ...(tls === undefined ? {} : { tls }),
    timeout: options.connectTimeoutMs ?? 5_000,
    pingInterval: options.pingIntervalMs ?? 10_000,
    maxPingOut: 2,
    reconnect,
    maxReconnectAttempts: reconnect ? -1 : 0,
    reconnectDelayHandler: () => backoff.delayMs,
    // A head that is restarted may refuse for a while; that must not end the connection for good.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
  };
}

/** The client asks for the delay many times per attempt, so it grows by attempts, not by questions. */
class Backoff {
  #attempts = 0;

  get delayMs(): number {
    return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 1.5 ** Math.max(0, this.#attempts - 1));
  }

  failedAgain(): void {
    this.#attempts++;
  }

  reset(): void {
    this.#attempts = 0;
  }
}

/**
 * A NATS connection as a Transport. Delivery is at most once: what is published while the connection is down is lost,
 * and requests then fail at once, so that callers decide about repeating.
 */
class NatsTransport implements Transport {
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #pending: PendingRequests;
  readonly #unanswered = new UnansweredCount();
  readonly #board = new StatusBoard();
  readonly #backoff: Backoff;
  readonly #subscriptions = new Set<NatsSubscription>();
  /** Replies to all requests of this connection arrive at `<inbox>.<token>`. */
  readonly #inbox = createInbox();
  readonly #background: boolean;
  #draining = false;
  #closing: Promise<void> | undefined;

  constructor(connection: NatsConnection, options: NatsTransportOptions, backoff: Backoff) {
    this.#connection = connection;
    this.#clock = options.clock ?? systemClock;
    this.#pending = new PendingRequests(this.#clock);
    this.#backoff = backoff;
    this.#background = options.background ?? false;
    if (this.#background) keepInBackground(connection);
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => this.#onReply(error, message),
    });
    void this.#watchStatus();
    void connection.closed().then(() => this.#closed());
  }

  get status(): ConnectionStatus {
    return this.#board.status;
  }

  get maxPayloadBytes(): number {
    return this.#connection.info?.max_payload ?? LIMITS.controlMessageBytes;
  }

  onStatus(listener: (status: ConnectionStatus) => void): () => void {
    return this.#board.listen(listener);
  }

  async request(
    subject: string,
    payload: Uint8Array,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Uint8Array> {
    this.#assertUsable();
    checkPayload(payload, this.maxPayloadBytes, subject);
    return this.#pending.start(subject, options, (token) => {
      this.#connection.publish(subject, payload, { reply: `${this.#inbox}.${token}` });
    });
  }

  publish(subject: string, payload: Uint8Array): void {
    if (this.status === 'closed') throw closedError();
    checkPayload(payload, this.maxPayloadBytes, subject);
    if (this.status === 'connected') this.#connection.publish(subject, payload);
  }

  subscribe(
    subject: string,
    handler: MessageHandler,
    options: { queue?: string } = {},
  ): Subscription {
    if (this.status === 'closed' || this.#draining) throw closedError();
    const subscription = this.#connection.subscribe(subject, {
      ...options,
      callback: (error, message) => this.#onMessage(handler, error, message),
    });
    this.#subscriptions.add(subscription);
    return {
      unsubscribe: () => {
        this.#subscriptions.delete(subscription);
        if (!this.#connection.isClosed()) subscription.unsubscribe();
      },
    };
  }

  async flush(): Promise<void> {
    if (this.status === 'closed') throw closedError();
    if (this.status === 'reconnecting') throw reconnectingError();
    try {
      await this.#connection.flush();
    } catch (error) {
      throw connectionError(error, 'The message bus did not confirm what was sent');
    }
  }

  async drain(): Promise<void> {
    if (this.#draining || this.status !== 'connected') return this.close();
    this.#draining = true;
    const drained = [...this.#subscriptions].map((subscription) => subscription.drain());
    await Promise.allSettled(drained);
    await Promise.race([this.#unanswered.whenZero(), this.#pause(ANSWER_GRACE_MS)]);
    await this.#pending.whenEmpty();
    // A connection that breaks now has nothing left to lose.
    if (this.status === 'connected') await this.#connection.flush().catch(() => {});
    await this.close();
  }

  close(): Promise<void> {
    this.#closing ??= this.#connection.close().then(() => this.#closed());
    return this.#closing;
  }

  #assertUsable(): void {
    if (this.status === 'closed' || this.#draining) throw closedError();
    if (this.status === 'reconnecting') throw reconnectingError();
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve, { unref: true });
    });
  }

  #onReply(error: Error | null, message: Msg): void {
    if (error !== null) return;
    const token = message.subject.slice(this.#inbox.length + 1);
    if (message.data.length === 0 && message.headers?.code === 503)
      this.#pending.noResponders(token);
    else this.#pending.reply(token, message.data);
  }

  #onMessage(handler: MessageHandler, error: Error | null, message: Msg): void {
    // An error here means that the subscription has ended; the status says why.
    if (error !== null) return;
    const { reply: replySubject } = message;
    const reply = replySubject
      ? this.#unanswered.track((payload) => this.publish(replySubject, payload))
      : undefined;
    runHandler(handler, message.data, message.subject, reply);
  }

  async #watchStatus(): Promise<void> {
    for await (const event of this.#connection.status()) {
      if (event.type === 'disconnect') this.#disconnected();
      else if (event.type === 'reconnecting') this.#backoff.failedAgain();
      else if (event.type === 'reconnect') this.#reconnected();
    }
  }

  #disconnected(): void {
    this.#board.change('reconnecting');
    this.#pending.rejectAll(lostError);
  }

  #reconnected(): void {
    this.#backoff.reset();
    if (this.#background) keepInBackground(this.#connection);
    this.#board.change('connected');
  }

  #closed(): void {
    this.#board.change('closed');
    this.#pending.rejectAll(closedError);
  }
}
