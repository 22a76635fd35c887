import { ClusterUnavailableError } from '@manta/runtime/errors/errors';
import type {
  ConnectionStatus,
  MessageHandler,
  Subscription,
  Transport,
} from '@manta/runtime/transport/transport';

/** A transport that can be cut: nothing goes out or comes in while it is, as in a network partition. */
export class GatedTransport implements Transport {
  private readonly inner: Transport;
  private readonly listeners = new Set<(status: ConnectionStatus) => void>();
  private cut = false;

  constructor(inner: Transport) {
    this.inner = inner;
    inner.onStatus((status) => {
      if (!this.cut) this.announce(status);
    });
  }

  get status(): ConnectionStatus {
    return this.cut ? 'reconnecting' : this.inner.status;
  }

  get maxPayloadBytes(): number {
    return this.inner.maxPayloadBytes;
  }

  setCut(cut: boolean): void {
    if (cut === this.cut) return;
    this.cut = cut;
    this.announce(this.status);
  }

  async request(
    subject: string,
    payload: Uint8Array,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Uint8Array> {
    this.assertOpen(subject);
    const reply = await this.inner.request(subject, payload, options);
    this.assertOpen(subject);
    return reply;
  }

  publish(subject: string, payload: Uint8Array): void {
    if (!this.cut) this.inner.publish(subject, payload);
  }

  subscribe(subject: string, handler: MessageHandler, options?: { queue?: string }): Subscription {
    const gated: MessageHandler = (payload, from, reply) => {
      if (this.cut) return;
      handler(payload, from, reply && ((answer) => void (this.cut || reply(answer))));
    };
    return this.inner.subscribe(subject, gated, options);
  }

  async flush(): Promise<void> {
    this.assertOpen('flush');
    await this.inner.flush();
  }

  onStatus(listener: (status: ConnectionStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  drain(): Promise<void> {
    return this.inner.drain();
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  private announce(status: ConnectionStatus): void {
    for (const listener of this.listeners) listener(status);
  }

  private assertOpen(what: string): void {
    if (this.cut)
      throw new ClusterUnavailableError(`this node is cut off from the cluster (${what})`);
  }
}
