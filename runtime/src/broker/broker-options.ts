import type { Clock } from '../time/clock.ts';

/** Every limit of the broker; each is enforced on the connection that breaks it and on no other. */
export interface BrokerLimits {
  /** Longest message, headers included. Default 8 MiB. */
  maxPayloadBytes: number;
  /** Longest control line; also all that an unauthenticated client can make the broker keep. Default 4096. */
  maxControlLineBytes: number;
  maxConnections: number;
  maxSubscriptionsPerConnection: number;
  /** Bytes waiting for one client; beyond that it is a slow consumer and is dropped. Default 64 MiB. */
  maxPendingBytes: number;
  /** Bytes waiting for all clients together; beyond that the one furthest behind is dropped. Default 256 MiB. */
  maxTotalPendingBytes: number;
  /** A client that has not authenticated by then is dropped. */
  authTimeoutMs: number;
  /** How often silent clients are asked for a sign of life. */
  pingIntervalMs: number;
  /** Unanswered pings after which a client counts as gone. */
  maxPingsOut: number;
}

export const DEFAULT_BROKER_LIMITS: BrokerLimits = {
  maxPayloadBytes: 8 * 1024 * 1024,
  maxControlLineBytes: 4_096,
  maxConnections: 65_536,
  maxSubscriptionsPerConnection: 100_000,
  maxPendingBytes: 64 * 1024 * 1024,
  maxTotalPendingBytes: 256 * 1024 * 1024,
  authTimeoutMs: 2_000,
  pingIntervalMs: 20_000,
  maxPingsOut: 2,
};

export interface BrokerTls {
  cert: string | Buffer;
  key: string | Buffer;
  /** Set together with `requestCertificate` to admit only clients that show a certificate of this authority. */
  ca?: string | Buffer;
  requestCertificate?: boolean;
}

/** Logs in the shape of pino. */
export interface BrokerLogger {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}

export interface Delivery {
  subject: string;
  /** Names as the clients gave them in CONNECT. */
  publisher: string;
  receiver: string;
  payloadBytes: number;
}

/** Faults on purpose, for tests: each hook is asked and its answer carried out. */
export interface BrokerFaults {
  onDelivery?(delivery: Delivery): 'deliver' | 'drop' | { delayMs: number };
  /** Asked once a client has sent CONNECT. */
  onConnect?(clientName: string): 'accept' | 'refuse';
}

export interface BrokerOptions {
  /** Default 127.0.0.1. */
  host?: string;
  /** 0 takes a free one. */
  port?: number;
  /** Without a token every client is admitted. */
  token?: string;
  /** The same as `limits.maxPayloadBytes`. */
  maxPayloadBytes?: number;
  limits?: Partial<BrokerLimits>;
  tls?: BrokerTls;
  logger?: BrokerLogger;
  /** A client that was admitted is gone; told with the name it gave in CONNECT. Not told of those in this process. */
  onDisconnected?: (clientName: string) => void;
  faults?: BrokerFaults;
  clock?: Clock;
  /** A number in [0, 1): chooses the member of a queue group. */
  random?: () => number;
}

/** What the broker counts, all since its start except where it says `open`. */
export interface BrokerStats {
  connectionsOpen: number;
  /** Bytes that wait for clients to read them. */
  pendingBytesOpen: number;
  connectionsTotal: number;
  subscriptionsOpen: number;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Requests answered with status 503. */
  noResponders: number;
  /** Connections dropped, by reason. */
  slowConsumers: number;
  staleConnections: number;
  authenticationFailures: number;
  authenticationTimeouts: number;
  connectionsRefused: number;
  protocolErrors: number;
  /** How often a publisher was made to wait because a receiver was far behind. */
  publisherStalls: number;
}

export function newStats(): BrokerStats {
  return {
    connectionsOpen: 0,
    pendingBytesOpen: 0,
    connectionsTotal: 0,
    subscriptionsOpen: 0,
    messagesIn: 0,
    messagesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    noResponders: 0,
    slowConsumers: 0,
    staleConnections: 0,
    authenticationFailures: 0,
    authenticationTimeouts: 0,
    connectionsRefused: 0,
    protocolErrors: 0,
    publisherStalls: 0,
  };
}
