import type { ClusterObject, ClusterObjects, ObjectWhere } from './cluster-objects.ts';

/** Which objects are meant; all that is given must hold. */
export interface ObjectFilter {
  objectId?: string;
  state?: ClusterObject['state'];
  where?: ObjectWhere;
  /** The process that owns it. */
  ownerId?: string;
  /** A process, or an actor, that holds it. */
  holderId?: string;
  /** Its bytes, or its owner, are there. */
  nodeId?: string;
  minBytes?: number;
}

export const SORT_KEYS = ['size', 'owner', 'node', 'holders', 'state'] as const;
export type ObjectSort = (typeof SORT_KEYS)[number];

export const GROUP_KEYS = ['owner', 'holder', 'node'] as const;
export type ObjectGrouping = (typeof GROUP_KEYS)[number];

/** Pure. */
export function selectObjects(
  objects: readonly ClusterObject[],
  filter: ObjectFilter,
): ClusterObject[] {
  const { objectId, state, where, ownerId, holderId, nodeId, minBytes } = filter;
  return objects.filter(
    (object) =>
      (objectId === undefined || object.objectId === objectId) &&
      (state === undefined || object.state === state) &&
      (where === undefined || object.where === where) &&
      (ownerId === undefined || object.ownerId === ownerId) &&
      (holderId === undefined || isHeldBy(object, holderId)) &&
      (nodeId === undefined || nodesOf(object).includes(nodeId)) &&
      (minBytes === undefined || (object.sizeBytes ?? 0) >= minBytes),
  );
}

function isHeldBy({ holders }: ClusterObject, id: string): boolean {
  return holders.some(({ processId, actorId }) => processId === id || actorId === id);
}

/** Where its bytes are; for what lies in a heap, where its owner is. */
function nodesOf({ places, ownerNodeId }: ClusterObject): string[] {
  if (places.length > 0) return [...new Set(places.map(({ nodeId }) => nodeId))];
  return ownerNodeId === undefined ? [] : [ownerNodeId];
}

/** By size: the largest first; what is equal stays in that order. Pure. */
export function sortObjects(objects: readonly ClusterObject[], by: ObjectSort): ClusterObject[] {
  const key = (object: ClusterObject): string | number => {
    switch (by) {
      case 'size':
        return -(object.sizeBytes ?? -1);
      case 'holders':
        return -object.holders.length;
      case 'owner':
        return object.ownerId;
      case 'node':
        return nodesOf(object)[0] ?? '';
      case 'state':
        return object.state;
    }
  };
  return objects.toSorted((a, b) => compare(key(a), key(b)));
}

const compare = (a: string | number, b: string | number): number => (a < b ? -1 : a > b ? 1 : 0);

export interface ObjectGroup {
  /** Id of the process or node; '-' for objects that nobody is known to hold, or that are nowhere. */
  id: string;
  objects: number;
  heapBytes: number;
  memoryBytes: number;
  spilledBytes: number;
  pending: number;
  largest: string;
}

/** An object counts in each group that it belongs to, with its bytes there. The largest group first. Pure. */
export function groupObjects(
  { objects }: Pick<ClusterObjects, 'objects'>,
  by: ObjectGrouping,
): ObjectGroup[] {
  const groups = new Map<string, ObjectGroup & { largestBytes: number }>();
  for (const object of objects) {
    for (const id of groupsOf(object, by)) {
      let group = groups.get(id);
      if (group === undefined) groups.set(id, (group = emptyGroup(id)));
      count(group, object, by === 'node' ? id : undefined);
    }
  }
  const total = (group: ObjectGroup): number =>
    group.heapBytes + group.memoryBytes + group.spilledBytes;
  return [...groups.values()]
    .sort((a, b) => total(b) - total(a) || b.objects - a.objects)
    .map(({ largestBytes: _largestBytes, ...group }) => group);
}

function groupsOf(object: ClusterObject, by: ObjectGrouping): string[] {
  const ids = {
    owner: () => [object.ownerId],
    holder: () => [...new Set(object.holders.map(({ processId }) => processId))],
    node: () => nodesOf(object),
  }[by]();
  return ids.length === 0 ? ['-'] : ids;
}

function emptyGroup(id: string): ObjectGroup & { largestBytes: number } {
  const bytes = { heapBytes: 0, memoryBytes: 0, spilledBytes: 0 };
  return { id, objects: 0, ...bytes, pending: 0, largest: '-', largestBytes: -1 };
}

function count(
  group: ObjectGroup & { largestBytes: number },
  object: ClusterObject,
  nodeId: string | undefined,
): void {
  const { sizeBytes = 0, state, objectId } = object;
  const here = object.places.find((place) => place.nodeId === nodeId)?.where ?? object.where;
  group.objects += 1;
  if (state === 'pending') group.pending += 1;
  if (here !== undefined) group[`${here}Bytes`] += sizeBytes;
  if (sizeBytes <= group.largestBytes) return;
  group.largestBytes = sizeBytes;
  group.largest = objectId;
}
