import type { ClusterId, NodeId } from '../ids.ts';
import type { BlobSources } from '../objects/blob-sources.ts';
import { decodeControl } from '../serialization/control-codec.ts';
import type { Transport } from '../transport/transport.ts';
import { NodeDied, type ProcessAddress } from '../wire/messages.ts';
import { subjectsOf } from '../wire/subjects.ts';

interface NodeDeathsCore {
  readonly options: { clusterId: ClusterId };
  readonly objects: { blobs: { sources: BlobSources } };
  readonly store: { agent: ProcessAddress | undefined };
  transport(): Promise<Transport>;
  warn(message: string, error: unknown): void;
}

/**
 * The head's news of nodes that died, from when this process first owns values on other nodes or speaks to processes
 * there. News that is missed does no harm: who then tries to read such a value finds out.
 */
export class NodeDeaths {
  readonly #core: NodeDeathsCore;
  readonly #onDied: (nodeId: NodeId) => void;
  #isWatching = false;

  /** `onDied`: told before the owner is that copies are gone. */
  constructor(core: NodeDeathsCore, onDied: (nodeId: NodeId) => void) {
    this.#core = core;
    this.#onDied = onDied;
  }

  watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { options, objects } = this.#core;
    this.#core.transport().then(
      (transport) =>
        transport.subscribe(subjectsOf(options.clusterId).nodeDied, (payload) => {
          const { nodeId } = decodeControl(NodeDied, payload);
          // Whether this process's own node lives, its agent says.
          if (nodeId === this.#core.store.agent?.nodeId) return;
          this.#onDied(nodeId);
          objects.blobs.sources.nodeDied(nodeId);
        }),
      (error: unknown) => {
        this.#isWatching = false;
        this.#core.warn('the deaths of nodes cannot be heard of', error);
      },
    );
  }
}
