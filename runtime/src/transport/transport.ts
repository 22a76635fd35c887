/** The control plane's only view of a message bus. Bytes in, bytes out: encoding is the caller's. */
export interface Transport {
  /**
   * One request, one reply.
   * @throws ClusterUnavailableError when nobody listens (NobodyListensError), the connection is down or the deadline
   * passes.
   */
  request(
    subject: string,
    payload: Uint8Array,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Uint8Array>;
  publish(subject: string, payload: Uint8Array): void;
  /** `queue`: only one subscriber of the queue group gets each message. */
  subscribe(subject: string, handler: MessageHandler, options?: { queue?: string }): Subscription;
  /** Resolves when everything sent so far has reached the server. */
  flush(): Promise<void>;
  /** Called with each change of the connection. */
  onStatus(listener: (status: ConnectionStatus) => void): () => void;
  readonly status: ConnectionStatus;
  readonly maxPayloadBytes: number;
  /** Finishes what is under way, then closes. */
  drain(): Promise<void>;
  close(): Promise<void>;
}
export type ConnectionStatus = 'connected' | 'reconnecting' | 'closed';

/** `reply` is absent when the sender expects none. */
export type MessageHandler = (
  payload: Uint8Array,
  subject: string,
  reply: ((payload: Uint8Array) => void) | undefined,
) => void;

export interface Subscription {
  unsubscribe(): void;
}
