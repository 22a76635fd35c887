import type { NodeAffinity } from './demand.ts';
import type { NodeView } from './node-view.ts';

/** The wanted node when it fits. Hard affinity needs nothing more: the filters leave no other node. */
export function choosePreferred(
  fitting: readonly NodeView[],
  affinity: NodeAffinity,
): NodeView | undefined {
  return fitting.find((node) => node.nodeId === affinity.nodeId);
}
