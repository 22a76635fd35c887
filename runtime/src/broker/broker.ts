import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { TLSSocket, createSecureContext, type SecureContext } from 'node:tls';
import { ClusterUnavailableError, InvalidArgumentError } from '../errors/errors.ts';
import { systemClock, type Clock } from '../time/clock.ts';
import type { Transport } from '../transport/transport.ts';
import {
  DEFAULT_BROKER_LIMITS,
  newStats,
  type BrokerLimits,
  type BrokerOptions,
  type BrokerStats,
} from './broker-options.ts';
import { ClientConnection, type ConnectionHost } from './client-connection.ts';
import { tokenMatches, type ConnectOptions } from './connect-options.ts';
import { LocalClients } from './local-clients.ts';
import { Router } from './router.ts';

export interface Broker {
  readonly host: string;
  readonly port: number;
  /** `nats://host:port`, for any NATS client. */
  readonly url: string;
  stats(): BrokerStats;
  /** A client in this process; it needs no token. Lost when the broker closes. */
  connectLocally(name: string): Transport;
  /** Drops the clients whose names match, as if the network had; returns how many there were. For tests. */
  disconnect(matches: (clientName: string) => boolean): number;
  /** Tells the clients (INFO with `ldm`), writes what is queued, closes. Default grace 1 s. */
  close(options?: { graceMs?: number }): Promise<void>;
}

/** What INFO says of the protocol: clients choose features by the version of the server whose protocol this is. */
const PROTOCOL_VERSION = '2.9.0';
const DEFAULT_GRACE_MS = 1_000;
/** All clients are measured each time that such a part of the total limit has been queued. */
const TOTAL_CHECKS = 64;

/**
 * Starts a NATS core server in this process: every NATS client can connect to it. No JetStream, accounts or clustering.
 * @throws ClusterUnavailableError when it cannot listen at the address.
 * @throws InvalidArgumentError when the limits contradict each other.
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const broker = new EmbeddedBroker(options);
  await broker.listen();
  return broker;
}

class EmbeddedBroker implements Broker, ConnectionHost {
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  readonly router: Router;
  readonly #options: BrokerOptions;
  readonly counters = newStats();
  readonly #server: Server;
  readonly #serverId = randomBytes(12).toString('hex').toUpperCase();
  readonly #secureContext: SecureContext | undefined;
  readonly #connections = new Set<ClientConnection>();
  readonly #localClients: LocalClients;
  #toFlush: ClientConnection[] = [];
  #nextClientId = 1;
  #queuedBytes = 0;
  #stopChecks: (() => void) | undefined;
  #allClosed: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.limits = { ...DEFAULT_BROKER_LIMITS, ...options.limits };
    if (options.maxPayloadBytes !== undefined)
      this.limits.maxPayloadBytes = options.maxPayloadBytes;
    assertLimits(this.limits);
    this.router = new Router({
      clock: this.clock,
      random: options.random ?? Math.random,
      faults: options.faults,
      stats: this.counters,
    });
    this.#localClients = new LocalClients({
      clock: this.clock,
      maxPayloadBytes: this.limits.maxPayloadBytes,
      router: this.router,
      counters: this.counters,
      admits: (name) => options.faults?.onConnect?.(name) !== 'refuse',
    });
    const { tls } = options;
    if (tls !== undefined)
      this.#secureContext = createSecureContext({ cert: tls.cert, key: tls.key, ca: tls.ca });
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  get host(): string {
    return this.#options.host ?? '127.0.0.1';
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? this.#options.port ?? 0;
  }

  get url(): string {
    const scheme = this.#secureContext === undefined ? 'nats' : 'tls';
    return `${scheme}://${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.port}`;
  }

  get authRequired(): boolean {
    return this.#options.token !== undefined;
  }

  stats(): BrokerStats {
    let pendingBytesOpen = 0;
    for (const connection of this.#connections)
      pendingBytesOpen += connection.measurePendingBytes();
    const connectionsOpen = this.#connections.size + this.#localClients.count;
    return { ...this.counters, connectionsOpen, pendingBytesOpen };
  }

  async listen(): Promise<void> {
    const { port = 0, logger } = this.#options;
    await new Promise<void>((resolve, reject) => {
      // Stays for good: an accept that fails later, for want of file descriptors, must not end the process.
      this.#server.on('error', (cause) => {
        const message = `The broker cannot listen at ${this.host}:${port}: ${cause.message}`;
        logger?.warn({ error: cause.message }, 'broker socket error');
        reject(new ClusterUnavailableError(message, { cause }));
      });
      this.#server.listen(port, this.host, resolve);
    });
    const { authRequired } = this;
    logger?.info(
      { url: this.url, authRequired, tls: this.#secureContext !== undefined },
      'broker listens',
    );
    const check = (): void => this.#connections.forEach((connection) => connection.checkAlive());
    this.#stopChecks = this.clock.every(this.limits.pingIntervalMs, check, { unref: true });
  }

  connectLocally(name: string): Transport {
    this.counters.connectionsTotal++;
    return this.#localClients.connect(name);
  }

  disconnect(matches: (clientName: string) => boolean): number {
    const hit = [...this.#connections].filter((connection) => matches(connection.options.name));
    for (const connection of hit) connection.destroy();
    return hit.length + this.#localClients.disconnect(matches);
  }

  close(options: { graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#shutDown(options.graceMs ?? DEFAULT_GRACE_MS);
    return this.#closing;
  }

  // --- what connections ask for -------------------------------------------------------------

  admits(options: ConnectOptions): boolean {
    const { token, faults } = this.#options;
    if (faults?.onConnect?.(options.name) === 'refuse') return false;
    return token === undefined || tokenMatches(token, options.authToken);
  }

  scheduleFlush(connection: ClientConnection): void {
    connection.flushScheduled = true;
    if (this.#toFlush.push(connection) === 1) setImmediate(() => this.#flushAll());
  }

  queued(bytes: number): void {
    this.#queuedBytes += bytes;
    if (this.#queuedBytes < this.limits.maxTotalPendingBytes / TOTAL_CHECKS) return;
    this.#queuedBytes = 0;
    this.#enforceTotal();
  }

  closed(connection: ClientConnection): void {
    this.#connections.delete(connection);
    if (connection.isAdmitted) this.#options.onDisconnected?.(connection.options.name);
    if (this.#connections.size === 0) this.#allClosed?.();
  }

  dropped(connection: ClientConnection, reason: string): void {
    const { id: clientId, remoteAddress } = connection;
    const { name } = connection.options;
    this.#options.logger?.warn(
      { clientId, name, remoteAddress, reason },
      'broker dropped a client',
    );
  }

  // --- details ------------------------------------------------------------------------------

  /** Those furthest behind go first, until what waits for the rest is within the limit. */
  #enforceTotal(): void {
    const pending = [...this.#connections]
      .filter(({ open }) => open)
      .map((connection) => ({ connection, bytes: connection.measurePendingBytes() }));
    let total = pending.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total <= this.limits.maxTotalPendingBytes) return;
    for (const { connection, bytes } of pending.sort((one, other) => other.bytes - one.bytes)) {
      connection.dropAsSlow();
      total -= bytes;
      if (total <= this.limits.maxTotalPendingBytes) return;
    }
  }

  #flushAll(): void {
    const connections = this.#toFlush;
    this.#toFlush = [];
    for (const connection of connections) connection.flush();
  }

  #accept(socket: Socket): void {
    if (this.#closing !== undefined) return void socket.destroy();
    const id = this.#nextClientId++;
    this.counters.connectionsTotal++;
    // INFO always goes in clear; a client then starts TLS on the same connection.
    if (this.#secureContext === undefined) {
      const connection = this.#admit(id, socket);
      connection.sendInfo(this.#info(id));
      this.#refuseWhenFull(connection);
    } else {
      socket.write(`INFO ${JSON.stringify(this.#info(id))}\r\n`);
      this.#refuseWhenFull(this.#admit(id, this.#secure(socket, this.#secureContext)));
    }
  }

  #admit(id: number, socket: Socket): ClientConnection {
    const connection = new ClientConnection(id, socket, this);
    this.#connections.add(connection);
    return connection;
  }

  #refuseWhenFull(connection: ClientConnection): void {
    if (this.#connections.size > this.limits.maxConnections) {
      connection.drop('Maximum Connections Exceeded', 'connectionsRefused');
    }
  }

  #secure(socket: Socket, secureContext: SecureContext): Socket {
    const requestCert = this.#options.tls?.requestCertificate ?? false;
    // An error is always followed by 'close' of the TLS socket, which the connection listens to.
    socket.on('error', () => {});
    return new TLSSocket(socket, {
      isServer: true,
      secureContext,
      requestCert,
      rejectUnauthorized: requestCert,
    });
  }

  #info(clientId: number): Record<string, unknown> {
    return {
      server_id: this.#serverId,
      server_name: 'manta',
      version: PROTOCOL_VERSION,
      proto: 1,
      host: this.host,
      port: this.port,
      headers: true,
      max_payload: this.limits.maxPayloadBytes,
      client_id: clientId,
      ...(this.authRequired ? { auth_required: true } : {}),
      ...(this.#secureContext === undefined ? {} : { tls_required: true, tls_available: true }),
    };
  }

  async #shutDown(graceMs: number): Promise<void> {
    this.#stopChecks?.();
    this.#localClients.close();
    const listenerClosed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    const lastWords = (id: number): string =>
      `INFO ${JSON.stringify({ ...this.#info(id), ldm: true })}\r\n`;
    for (const connection of this.#connections)
      connection.finish(lastWords(connection.id), graceMs);
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#allClosed = resolve;
      });
    }
    await listenerClosed;
  }
}

function assertLimits(limits: BrokerLimits): void {
  const ascending = ['maxPayloadBytes', 'maxPendingBytes', 'maxTotalPendingBytes'] as const;
  for (const [index, name] of ascending.entries()) {
    const larger = ascending[index + 1];
    if (larger === undefined || limits[name] <= limits[larger]) continue;
    throw new InvalidArgumentError(
      `${name} (${limits[name]}) must not be more than ${larger} (${limits[larger]}).`,
    );
  }
}
