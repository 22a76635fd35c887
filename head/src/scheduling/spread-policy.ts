import { hasFewerActors } from './hybrid-policy.ts';
import type { NodeView } from './node-view.ts';

/** The node with the fewest actors; of those the least loaded. */
export function chooseSpread(fitting: readonly NodeView[]): NodeView | undefined {
  let best: NodeView | undefined;
  for (const node of fitting) {
    if (best === undefined || isBetterSpread(node, best)) best = node;
  }
  return best;
}

function isBetterSpread(a: NodeView, b: NodeView): boolean {
  if (a.actorCount === b.actorCount && a.resources.utilisation !== b.resources.utilisation) {
    return a.resources.utilisation < b.resources.utilisation;
  }
  return hasFewerActors(a, b);
}
