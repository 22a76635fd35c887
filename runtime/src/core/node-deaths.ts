import type { NodeId } from '../ids.ts';
import { decodeControl } from '../serialization/control-codec.ts';
import type { Transport } from '../transport/transport.ts';
import { NodeDied } from '../wire/messages.ts';

export interface NodeDeathsOptions {
  transport(): Promise<Transport>;
  subject: string;
  onDied(nodeId: NodeId): void;
  warn(message: string, error: unknown): void;
}

/**
 * The head's news of nodes that died, from when this process first owns values on other nodes. News that is missed
 * does no harm: who then tries to read such a value finds out.
 */
export class NodeDeaths {
  readonly #options: NodeDeathsOptions;
  #isWatching = false;

  constructor(options: NodeDeathsOptions) {
    this.#options = options;
  }

  watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { transport, subject, onDied, warn } = this.#options;
    transport().then(
      (connected) =>
        connected.subscribe(subject, (payload) => onDied(decodeControl(NodeDied, payload).nodeId)),
      (error: unknown) => {
        this.#isWatching = false;
        warn('the deaths of nodes cannot be heard of', error);
      },
    );
  }
}
