import { describe, expect, it } from 'vitest';
import type { ClusterObject } from './cluster-objects.ts';
import { groupObjects, selectObjects, sortObjects } from './object-selection.ts';

function object(objectId: string, fields: Partial<ClusterObject> = {}): ClusterObject {
  return { objectId, ownerId: 'p_1', state: 'ready', places: [], holders: [], ...fields };
}

const OBJECTS = [
  object('heap', { sizeBytes: 10, where: 'heap', ownerNodeId: 'n_1' }),
  object('shared', {
    sizeBytes: 300,
    where: 'memory',
    ownerId: 'p_2',
    places: [
      { nodeId: 'n_1', where: 'spilled' },
      { nodeId: 'n_2', where: 'memory' },
    ],
    holders: [
      { processId: 'p_3', how: 'captured-in-actor', actorId: 'a_1' },
      { processId: 'p_3', how: 'call-argument', times: 2 },
    ],
  }),
  object('disk', {
    sizeBytes: 200,
    where: 'spilled',
    places: [{ nodeId: 'n_2', where: 'spilled' }],
  }),
  object('waits', { state: 'pending', ownerNodeId: 'n_1' }),
];

const names = (objects: readonly ClusterObject[]): string[] =>
  objects.map(({ objectId }) => objectId);

describe('objects are selected', () => {
  it.each([
    [{}, ['heap', 'shared', 'disk', 'waits']],
    [{ objectId: 'disk' }, ['disk']],
    [{ state: 'pending' as const }, ['waits']],
    [{ where: 'spilled' as const }, ['disk']],
    [{ ownerId: 'p_2' }, ['shared']],
    [{ holderId: 'p_3' }, ['shared']],
    [{ holderId: 'a_1' }, ['shared']],
    [{ nodeId: 'n_1' }, ['heap', 'shared', 'waits']],
    [{ minBytes: 200 }, ['shared', 'disk']],
    [{ minBytes: 200, ownerId: 'p_1' }, ['disk']],
  ])('by %j', (filter, expected) => {
    expect(names(selectObjects(OBJECTS, filter))).toEqual(expected);
  });
});

describe('objects are sorted', () => {
  it.each([
    ['size' as const, ['shared', 'disk', 'heap', 'waits']],
    ['holders' as const, ['shared', 'heap', 'disk', 'waits']],
    ['owner' as const, ['heap', 'disk', 'waits', 'shared']],
    ['node' as const, ['heap', 'shared', 'waits', 'disk']],
    ['state' as const, ['waits', 'heap', 'shared', 'disk']],
  ])('by %s', (key, expected) => {
    expect(names(sortObjects(OBJECTS, key))).toEqual(expected);
  });
});

describe('objects are summed', () => {
  const none = { heapBytes: 0, memoryBytes: 0, spilledBytes: 0, pending: 0 };

  it('by owner, the largest first', () => {
    expect(groupObjects({ objects: OBJECTS }, 'owner')).toEqual([
      { ...none, id: 'p_2', objects: 1, memoryBytes: 300, largest: 'shared' },
      {
        ...none,
        id: 'p_1',
        objects: 3,
        heapBytes: 10,
        spilledBytes: 200,
        pending: 1,
        largest: 'disk',
      },
    ]);
  });

  it('by node, with what is there', () => {
    const groups = groupObjects({ objects: OBJECTS }, 'node');
    expect(groups.map((group) => [group.id, group.memoryBytes, group.spilledBytes])).toEqual([
      ['n_2', 300, 200],
      ['n_1', 0, 300],
    ]);
  });

  it('by holder: once for each, and those that nobody holds together', () => {
    const groups = groupObjects({ objects: OBJECTS }, 'holder');
    expect(groups.map(({ id, objects }) => [id, objects])).toEqual([
      ['p_3', 1],
      ['-', 3],
    ]);
  });
});
