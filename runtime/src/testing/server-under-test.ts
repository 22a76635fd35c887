/** Settings that both the embedded broker and a real NATS server understand. */
export interface TestServerOptions {
  token?: string;
  /** Default: a free one. */
  port?: number;
  maxPayloadBytes?: number;
  maxPendingBytes?: number;
  maxControlLineBytes?: number;
  maxConnections?: number;
  maxSubscriptionsPerConnection?: number;
  authTimeoutMs?: number;
  pingIntervalMs?: number;
}

export interface TestServer {
  readonly host: string;
  readonly port: number;
  /** `nats://host:port`. */
  readonly url: string;
  /** Ends it in an orderly way; resolves when its port is free again. */
  stop(): Promise<void>;
}

export type StartTestServer = (options?: TestServerOptions) => Promise<TestServer>;
