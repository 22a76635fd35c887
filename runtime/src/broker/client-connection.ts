import type { Socket } from 'node:net';
import type { Clock } from '../time/clock.ts';
import type { BrokerLimits, BrokerStats } from './broker-options.ts';
import { BEFORE_CONNECT, parseConnect, type ConnectOptions } from './connect-options.ts';
import { Outbox } from './outbox.ts';
import { Parser, type ParserEvents, type ParserFailure } from './parser.ts';
import type { BrokerSubscription, PublishedMessage, Router, RouterClient } from './router.ts';
import { isLiteral, isSubscribable, subjectMatches } from './subject-trie.ts';

/** What a connection needs of the broker it belongs to. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  readonly counters: BrokerStats;
  readonly router: Router;
  readonly authRequired: boolean;
  admits(options: ConnectOptions): boolean;
  /** Flushes the connection at the end of this turn of the event loop. */
  scheduleFlush(connection: ClientConnection): void;
  /** So many bytes more wait for a client. */
  queued(bytes: number): void;
  closed(connection: ClientConnection): void;
  dropped(connection: ClientConnection, reason: string): void;
}

/** Beyond this, what is queued is written at once instead of at the end of the turn. */
const FLUSH_BYTES = 64 * 1024;
/** How long a publisher waits while a receiver is far behind: long enough to let it read, too short to be felt. */
const STALL_MS = 5;
/** How long a refused client may take to read why, before its socket is destroyed. */
const FAREWELL_MS = 1_000;
const NO_RESPONDERS = Buffer.from('NATS/1.0 503\r\n\r\n');

type DropReason =
  | 'slowConsumers'
  | 'staleConnections'
  | 'authenticationFailures'
  | 'authenticationTimeouts'
  | 'connectionsRefused'
  | 'protocolErrors';

/** One client: its protocol state, subscriptions and what waits to be written to it. */
export class ClientConnection implements ParserEvents, RouterClient {
  readonly id: number;
  options: ConnectOptions = BEFORE_CONNECT;
  /** False from the moment the connection is given up: nothing is delivered to it any more. */
  open = true;
  flushScheduled = false;
  /** It has shown the token, if one is asked for, and `options` are its own. */
  isAdmitted = false;
  readonly #host: ConnectionHost;
  readonly #socket: Socket;
  readonly #parser: Parser;
  readonly #outbox = new Outbox();
  readonly #subscriptions = new Map<string, BrokerSubscription>();
  /** Bytes that the socket had not passed to the system when it was last looked at. */
  #unsentBytes = 0;
  #heardFrom = false;
  #pingsOut = 0;
  #stalled = false;
  #cancelAuthTimeout: (() => void) | undefined;

  constructor(id: number, socket: Socket, host: ConnectionHost) {
    this.id = id;
    this.#socket = socket;
    this.#host = host;
    const { maxControlLineBytes, maxPayloadBytes } = host.limits;
    this.#parser = new Parser(
      this,
      { controlLineBytes: maxControlLineBytes, payloadBytes: maxPayloadBytes },
      { connectOnly: host.authRequired },
    );
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // An error is always followed by 'close', which says all that matters here.
    socket.on('error', () => {});
    // It was killed, or says farewell: what is published from now on must not be taken for delivered.
    socket.on('end', () => this.#unsubscribeAll());
    socket.on('close', () => this.#end());
    if (host.authRequired) this.#startAuthTimeout();
  }

  get remoteAddress(): string {
    return `${this.#socket.remoteAddress ?? ''}:${this.#socket.remotePort ?? ''}`;
  }

  /** More than half of what may wait is waiting. */
  get congested(): boolean {
    return this.#pendingBytes > this.#host.limits.maxPendingBytes / 2;
  }

  get #pendingBytes(): number {
    return this.#outbox.bytes + this.#unsentBytes;
  }

  /** What waits for this client to read it, looked at anew. */
  measurePendingBytes(): number {
    this.#unsentBytes = this.#socket.writableLength;
    return this.#pendingBytes;
  }

  /** It does not read as fast as others write. */
  dropAsSlow(): void {
    this.drop('Slow Consumer', 'slowConsumers');
  }

  // --- what the client asks for -------------------------------------------------------------

  connect(json: string): void {
    const options = parseConnect(json);
    if (options === undefined) return this.#protocolError('Invalid CONNECT');
    this.options = options;
    if (!this.#host.admits(options))
      return this.drop('Authorization Violation', 'authenticationFailures');
    this.isAdmitted = true;
    this.#cancelAuthTimeout?.();
    this.#parser.connectOnly = false;
    this.#acknowledge();
  }

  ping(): void {
    this.#text('PONG\r\n');
  }

  pong(): void {
    this.#pingsOut = 0;
  }

  subscribe(subject: string, queue: string | undefined, subscriptionId: string): void {
    if (!isSubscribable(subject)) return this.#complain('Invalid Subject');
    if (this.#subscriptions.has(subscriptionId)) return this.#acknowledge();
    if (this.#subscriptions.size >= this.#host.limits.maxSubscriptionsPerConnection) {
      return this.#complain('Maximum Subscriptions Exceeded');
    }
    const subscription: BrokerSubscription = {
      id: subscriptionId,
      subject,
      queue,
      client: this,
      delivered: 0,
      maxMessages: undefined,
    };
    this.#subscriptions.set(subscriptionId, subscription);
    this.#host.router.add(subscription);
    this.#acknowledge();
  }

  unsubscribe(subscriptionId: string, maxMessages: number | undefined): void {
    const subscription = this.#subscriptions.get(subscriptionId);
    if (subscription !== undefined) {
      if (!maxMessages || subscription.delivered >= maxMessages) this.endSubscription(subscription);
      else subscription.maxMessages = maxMessages;
    }
    this.#acknowledge();
  }

  publish(subject: string, reply: string | undefined, headerBytes: number, payload: Buffer): void {
    this.#host.counters.messagesIn++;
    if (this.options.pedantic && !isLiteral(subject))
      return this.#complain('Invalid Publish Subject');
    this.#acknowledge();
    const reached = this.#host.router.publish(this, { subject, reply, headerBytes, payload });
    if (!reached && reply !== undefined && this.options.noResponders) this.#sayNoResponders(reply);
  }

  // --- what the broker does with it ---------------------------------------------------------

  deliver(subscriptionId: string, message: PublishedMessage): void {
    if (!this.open) return;
    const { subject, reply, headerBytes, payload } = message;
    const to =
      reply === undefined
        ? `${subject} ${subscriptionId}`
        : `${subject} ${subscriptionId} ${reply}`;
    if (headerBytes === 0) this.#outbox.message(`MSG ${to} ${payload.length}\r\n`, payload);
    else if (this.options.headers) {
      this.#outbox.message(`HMSG ${to} ${headerBytes} ${payload.length}\r\n`, payload);
    } else {
      this.#outbox.message(
        `MSG ${to} ${payload.length - headerBytes}\r\n`,
        payload.subarray(headerBytes),
      );
    }
    this.#host.counters.messagesOut++;
    this.#queued();
    this.#host.queued(payload.length);
  }

  endSubscription(subscription: BrokerSubscription): void {
    this.#subscriptions.delete(subscription.id);
    this.#host.router.remove(subscription);
  }

  /** Stops reading from this client for a moment. */
  stall(): void {
    if (this.#stalled || !this.open) return;
    this.#stalled = true;
    this.#host.counters.publisherStalls++;
    this.#socket.pause();
    this.#host.clock.after(
      STALL_MS,
      () => {
        this.#stalled = false;
        this.#socket.resume();
      },
      { unref: true },
    );
  }

  /** Asks a silent client for a sign of life; drops it after too many questions. */
  checkAlive(): void {
    if (this.#heardFrom) {
      this.#heardFrom = false;
      this.#pingsOut = 0;
    } else if (this.#pingsOut >= this.#host.limits.maxPingsOut) {
      this.drop('Stale Connection', 'staleConnections');
    } else {
      this.#pingsOut++;
      this.#text('PING\r\n');
    }
  }

  sendInfo(info: Record<string, unknown>): void {
    this.#text(`INFO ${JSON.stringify(info)}\r\n`);
  }

  /** Writes what is queued; called by the broker at the end of the turn. */
  flush(): void {
    this.flushScheduled = false;
    if (this.#outbox.bytes === 0 || this.#socket.destroyed) return this.#outbox.clear();
    this.#host.counters.bytesOut += this.#outbox.bytes;
    const chunks = this.#outbox.take();
    if (chunks.length > 1) this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(chunk);
    if (chunks.length > 1) this.#socket.uncork();
    this.#unsentBytes = this.#socket.writableLength;
  }

  /** Says why, counts it, and closes; nobody else notices. */
  drop(message: string, reason: DropReason): void {
    if (!this.open) return;
    this.#host.counters[reason]++;
    this.#host.dropped(this, message);
    this.finish(`-ERR '${message}'\r\n`, FAREWELL_MS);
  }

  /** Writes what is left and `lastWords`, then closes; what is not read within `graceMs` is lost. */
  finish(lastWords: string, graceMs: number): void {
    if (!this.open) return;
    this.#leave();
    this.#outbox.text(lastWords);
    this.flush();
    this.#socket.end();
    const cancel = this.#host.clock.after(graceMs, () => this.#socket.destroy(), { unref: true });
    this.#socket.once('close', cancel);
    // Bytes still coming in are thrown away, else the end of the stream would never be seen.
    this.#socket.resume();
  }

  destroy(): void {
    this.#leave();
    this.#socket.destroy();
  }

  // --- details ------------------------------------------------------------------------------

  #read(chunk: Buffer): void {
    this.#heardFrom = true;
    this.#host.counters.bytesIn += chunk.length;
    const failure = this.#parser.push(chunk);
    if (failure !== undefined) this.#parserFailed(failure);
  }

  #parserFailed(failure: ParserFailure): void {
    if (failure === 'connect-expected')
      this.drop('Authorization Violation', 'authenticationFailures');
    else this.#protocolError(PARSER_FAILURES[failure]);
  }

  #protocolError(message: string): void {
    this.drop(message, 'protocolErrors');
  }

  /** An error that costs the client nothing but the operation. */
  #complain(message: string): void {
    this.#host.counters.protocolErrors++;
    this.#text(`-ERR '${message}'\r\n`);
  }

  #acknowledge(): void {
    if (this.options.verbose) this.#text('+OK\r\n');
  }

  #sayNoResponders(reply: string): void {
    for (const subscription of this.#subscriptions.values()) {
      if (!subjectMatches(subscription.subject, reply)) continue;
      this.#host.counters.noResponders++;
      this.deliver(subscription.id, {
        subject: reply,
        reply: undefined,
        headerBytes: NO_RESPONDERS.length,
        payload: NO_RESPONDERS,
      });
      return;
    }
  }

  #text(text: string): void {
    if (!this.open) return;
    this.#outbox.text(text);
    this.#queued();
    this.#host.queued(text.length);
  }

  #queued(): void {
    if (this.#outbox.bytes >= FLUSH_BYTES) this.flush();
    else if (!this.flushScheduled) this.#host.scheduleFlush(this);
    const { maxPendingBytes } = this.#host.limits;
    if (this.#pendingBytes <= maxPendingBytes) return;
    if (this.measurePendingBytes() > maxPendingBytes) this.dropAsSlow();
  }

  #startAuthTimeout(): void {
    const tooLate = (): void => {
      if (this.#parser.connectOnly) this.drop('Authentication Timeout', 'authenticationTimeouts');
    };
    this.#cancelAuthTimeout = this.#host.clock.after(
      this.#host.limits.authTimeoutMs,
      // After a stall of this process CONNECT may have come already and only wait to be read: that goes first.
      () => setImmediate(tooLate),
      { unref: true },
    );
  }

  /** Takes the client out of everything; safe to repeat. */
  #leave(): void {
    this.open = false;
    this.#parser.stop();
    this.#cancelAuthTimeout?.();
    this.#unsubscribeAll();
  }

  #unsubscribeAll(): void {
    for (const subscription of this.#subscriptions.values()) this.#host.router.remove(subscription);
    this.#subscriptions.clear();
  }

  #end(): void {
    this.#leave();
    this.#outbox.clear();
    this.#host.closed(this);
  }
}

const PARSER_FAILURES: Record<Exclude<ParserFailure, 'connect-expected'>, string> = {
  'unknown-operation': 'Unknown Protocol Operation',
  malformed: 'Parser Error',
  'control-line-too-long': 'Maximum Control Line Exceeded',
  'payload-too-large': 'Maximum Payload Violation',
};
