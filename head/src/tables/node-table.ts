import type { ActorId, NodeId, ProcessId } from '@manta/runtime/ids';
import { NodeResources, type Reservation } from '@manta/runtime/resources/node-resources';
import type { Heartbeat } from '@manta/runtime/wire/messages';
import type { ObjectStoreState } from '@manta/runtime/wire/object-store-state';
import type { NodeView } from '../scheduling/node-view.ts';
import type { NodeRecord } from './node-machine.ts';

/** A node with what the head derives and need not write down. */
export class NodeEntry implements NodeView {
  readonly nodeId: NodeId;
  readonly record: NodeRecord;
  readonly resources: NodeResources;
  /** What actors have of it, until their end is confirmed. */
  readonly reservations = new Map<ActorId, Reservation>();
  /** Processes whose life ends with the node, or whose liveness link ends there. */
  readonly processes = new Set<ProcessId>();
  /** False after a restart of the head, until the node has said what runs there. */
  isRegistered: boolean;
  /** Number of the last event taken from the current session. */
  lastSequence = -1;
  /** As the last heartbeat said. */
  objectStore: ObjectStoreState | undefined;
  /** As the last heartbeat said. */
  refusedChannels = 0;

  constructor(record: NodeRecord, isRegistered: boolean) {
    this.nodeId = record.registration.nodeId;
    this.record = record;
    this.resources = new NodeResources(record.registration.capacity);
    this.isRegistered = isRegistered;
  }

  get state(): NodeView['state'] {
    if (!this.isRegistered && this.record.state !== 'dead') return 'suspect';
    return this.record.state;
  }
  get reason(): string | undefined {
    if (!this.isRegistered && this.record.state !== 'dead')
      return 'has not reported since the head started';
    return this.record.reason;
  }
  get labels(): Readonly<Record<string, string>> {
    return this.record.registration.labels;
  }
  get actorCount(): number {
    return this.reservations.size;
  }
}

export class NodeTable {
  readonly #living = new Map<NodeId, NodeEntry>();
  /** Kept for a while, oldest first: listed, and refused when they come back. */
  readonly #dead = new Map<NodeId, NodeEntry>();

  get(nodeId: NodeId): NodeEntry | undefined {
    return this.#living.get(nodeId) ?? this.#dead.get(nodeId);
  }
  living(): IterableIterator<NodeEntry> {
    return this.#living.values();
  }
  get livingCount(): number {
    return this.#living.size;
  }
  /** Every living node has said what runs there since this head started. */
  haveAllReported(): boolean {
    for (const node of this.#living.values()) if (!node.isRegistered) return false;
    return true;
  }
  *all(): IterableIterator<NodeEntry> {
    yield* this.#living.values();
    yield* this.#dead.values();
  }

  /** Takes a heartbeat; false when it is of a node or session that is not known, or was given up. */
  beats({ nodeId, sessionId, objectStore, refusedChannels = 0 }: Heartbeat): boolean {
    const node = this.get(nodeId);
    if (node?.record.registration.sessionId !== sessionId) return false;
    if (!node.isRegistered || node.state === 'dead') return false;
    node.objectStore = objectStore;
    node.refusedChannels = refusedChannels;
    return true;
  }

  add(entry: NodeEntry): void {
    (entry.record.state === 'dead' ? this.#dead : this.#living).set(entry.nodeId, entry);
  }

  /** Moves a node that died to the dead; returns those forgotten for it. */
  bury(entry: NodeEntry, deadNodesMax: number): NodeId[] {
    this.#living.delete(entry.nodeId);
    this.#dead.set(entry.nodeId, entry);
    const forgotten: NodeId[] = [];
    for (const nodeId of this.#dead.keys()) {
      if (this.#dead.size <= deadNodesMax) break;
      this.#dead.delete(nodeId);
      forgotten.push(nodeId);
    }
    return forgotten;
  }
}
