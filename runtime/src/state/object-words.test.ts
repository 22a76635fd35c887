import { describe, expect, it } from 'vitest';
import type { ClusterObject, ClusterProcess } from './cluster-objects.ts';
import { describeObject } from './object-words.ts';

const DRIVER: ClusterProcess = {
  processId: 'p_1',
  nodeId: 'n_1',
  role: 'driver',
  pid: 42,
  program: '/programs/main.ts',
  actors: [],
  actorCount: 0,
  objectCount: 1,
};
const HOST: ClusterProcess = {
  processId: 'p_2',
  nodeId: 'n_2',
  role: 'host',
  pid: 43,
  actors: [{ actorId: 'a_1', className: 'Holder', isTaskWorker: false }],
  actorCount: 1,
  objectCount: 1,
};
const OBJECT: ClusterObject = {
  objectId: 'o_1',
  ownerId: 'p_1',
  ownerNodeId: 'n_1',
  state: 'ready',
  sizeBytes: 8 * 2 ** 20,
  where: 'memory',
  places: [{ nodeId: 'n_1', where: 'memory' }],
  holders: [],
};

const words = (fields: Partial<ClusterObject>, processes = [DRIVER, HOST]): string =>
  describeObject({ ...OBJECT, ...fields }, processes);

describe('an object in words', () => {
  it('says where a value is, who owns it, and what keeps it', () => {
    const holders: ClusterObject['holders'] = [
      { processId: 'p_2', how: 'captured-in-actor' },
      { processId: 'p_1', how: 'call-argument', times: 2, call: 'Holder.sum' },
      { processId: 'p_1', how: 'in-value', times: 1 },
    ];
    expect(words({ holders })).toBe(
      'The value is there: 8 MiB in the shared memory of node n_1. ' +
        'Its owner is driver main.ts (process p_1, pid 42, on node n_1). ' +
        'It is held by actor Holder a_1 (process p_2, pid 43, on node n_2); ' +
        '2 calls of Holder.sum by driver main.ts (process p_1, pid 42, on node n_1), whose argument it is; ' +
        'a value that driver main.ts (process p_1, pid 42, on node n_1) keeps or sends.',
    );
  });

  it('says that a spilled value is on disk, and who made it', () => {
    const maker = { kind: 'task', name: 'resize', taskId: 't_1' } as const;
    const places: ClusterObject['places'] = [{ nodeId: 'n_2', where: 'spilled' }];
    expect(words({ where: 'spilled', places, maker })).toMatch(
      /^The value \(of task resize t_1\) is there: 8 MiB on the disk of node n_2\. .*Nobody is known to hold it/,
    );
  });

  it('says that an owner is gone, or is a node', () => {
    const { ownerNodeId: _node, ...gone } = OBJECT;
    expect(describeObject({ ...gone, ownerId: 'p_9', state: 'unknown' }, [])).toMatch(
      /state is not known.*process p_9, is not known to any node/,
    );
    const holders: ClusterObject['holders'] = [{ processId: 'p_9', how: 'durable' }];
    expect(words({ ownerId: 'p_9', holders })).toMatch(/agent of node n_1, for it is durable/);
  });

  it('says why a value is lost, and that processes are silent', () => {
    const silent = { ...HOST, silence: 'it has not answered for 1000 ms' };
    const holders: ClusterObject['holders'] = [{ processId: 'p_2', how: 'lent' }];
    const text = words({ state: 'lost', error: 'ObjectLostError: gone', holders }, [
      DRIVER,
      silent,
    ]);
    expect(text).toMatch(/The value is lost: ObjectLostError: gone\./);
    expect(text).toMatch(/was given the ref and does not answer\. One process has not answered/);
  });
});
