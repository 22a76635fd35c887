import type { ClusterId } from '../ids.ts';
import type { BlobSources } from '../objects/blob-sources.ts';
import { decodeControl } from '../serialization/control-codec.ts';
import type { Transport } from '../transport/transport.ts';
import { NodeDied } from '../wire/messages.ts';
import { subjectsOf } from '../wire/subjects.ts';

interface NodeDeathsCore {
  readonly options: { clusterId: ClusterId };
  readonly objects: { blobs: { sources: BlobSources } };
  transport(): Promise<Transport>;
  warn(message: string, error: unknown): void;
}

/**
 * The head's news of nodes that died, from when this process first owns values on other nodes. News that is missed
 * does no harm: who then tries to read such a value finds out.
 */
export class NodeDeaths {
  readonly #core: NodeDeathsCore;
  #isWatching = false;

  constructor(core: NodeDeathsCore) {
    this.#core = core;
  }

  watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { options, objects } = this.#core;
    this.#core.transport().then(
      (transport) =>
        transport.subscribe(subjectsOf(options.clusterId).nodeDied, (payload) =>
          objects.blobs.sources.nodeDied(decodeControl(NodeDied, payload).nodeId),
        ),
      (error: unknown) => {
        this.#isWatching = false;
        this.#core.warn('the deaths of nodes cannot be heard of', error);
      },
    );
  }
}
