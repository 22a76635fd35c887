import type { NodeId } from '@manta/runtime/ids';
import type { NodeResources } from '@manta/runtime/resources/node-resources';

/** What the scheduler may know of a node. */
export interface NodeView {
  readonly nodeId: NodeId;
  readonly state: 'alive' | 'suspect' | 'draining' | 'dead';
  /** Why the state is not 'alive', in words. */
  readonly reason?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly resources: NodeResources;
  readonly actorCount: number;
}
