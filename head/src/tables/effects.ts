import type { ActorId, JobId, NodeId, ProcessId } from '@manta/runtime/ids';
import type { NodeCommand } from '@manta/runtime/wire/messages';

/**
 * What the tables ask of the outside, gathered over one turn of the head. Sets, not a list: a record that changes five
 * times in a turn is written once and announced once, in its last form.
 */
export interface Effects {
  /** New ones, and those whose arguments came. */
  readonly savedSpecs: Set<ActorId>;
  readonly savedActors: Set<ActorId>;
  readonly forgottenActors: Set<ActorId>;
  readonly savedNodes: Set<NodeId>;
  readonly forgottenNodes: Set<NodeId>;
  readonly savedJobs: Set<JobId>;
  readonly forgottenJobs: Set<JobId>;
  /** Holders that must hear of these actors. */
  readonly announcements: Map<ProcessId, Set<ActorId>>;
  /** In order, per node. */
  readonly commands: Map<NodeId, NodeCommand[]>;
  readonly watchedNodes: Set<NodeId>;
  readonly lostNodes: Set<NodeId>;
}

export function createEffects(): Effects {
  return {
    savedSpecs: new Set(),
    savedActors: new Set(),
    forgottenActors: new Set(),
    savedNodes: new Set(),
    forgottenNodes: new Set(),
    savedJobs: new Set(),
    forgottenJobs: new Set(),
    announcements: new Map(),
    commands: new Map(),
    watchedNodes: new Set(),
    lostNodes: new Set(),
  };
}

export function hasEffects(effects: Effects): boolean {
  return Object.values(effects).some((part: { size: number }) => part.size > 0);
}
