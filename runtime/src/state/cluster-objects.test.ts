import { describe, expect, it } from 'vitest';
import type { BlobId, NodeId, ObjectId, ProcessId } from '../ids.ts';
import type { BlobRow, NodeObjectsReply, NodeProcess, ObjectRow } from '../wire/object-messages.ts';
import { mergeAnswers, type NodeAnswer } from './cluster-objects.ts';

const id = (letter: string, name: string): string => `${letter}_${name.padEnd(16, '0')}`;
const process = (name: string): ProcessId => id('p', name) as ProcessId;
const object = (name: string): ObjectId => id('o', name) as ObjectId;
const blob = (name: string): BlobId => id('b', name) as BlobId;
const node = (name: string): NodeId => id('n', name) as NodeId;

const [DRIVER, HOST, AGENT_1, AGENT_2] = [process('d'), process('h'), process('a1'), process('a2')];

function row(name: string, fields: Partial<ObjectRow> = {}): ObjectRow {
  return { objectId: object(name), ownerId: DRIVER, state: 'ready', holds: [], ...fields };
}

function answering(processId: ProcessId, rows: ObjectRow[], total = rows.length): NodeProcess {
  const isHost = processId === HOST;
  const actor = { actorId: 'a_1', className: 'Holder', isTaskWorker: false };
  return {
    processId,
    role: isHost ? 'host' : 'driver',
    actors: isHost ? [actor] : [],
    actorCount: isHost ? 1 : 0,
    report: { pid: 7, program: '/x/main.ts', rows, total },
  };
}

function silent(processId: ProcessId): NodeProcess {
  const { report: _report, ...known } = answering(processId, []);
  return { ...known, silence: 'it has not answered for 1000 ms' };
}

function answer(name: string, processes: NodeProcess[], blobs: BlobRow[] = []): NodeAnswer {
  const agentId = name === 'one' ? AGENT_1 : AGENT_2;
  const reply: NodeObjectsReply = { nodeId: node(name), agentId, processes, blobs };
  return { nodeId: node(name), name, reply };
}

const stored = { where: 'store', blobId: blob('x'), nodeId: node('one'), sizeBytes: 100 } as const;

describe('answers of several nodes', () => {
  it('tell of one object: who owns it, where it is, and who holds it how', () => {
    const own = row('x', { ...stored, borrowers: [HOST] });
    const { objects } = mergeAnswers([
      answer('one', [answering(DRIVER, [own])]),
      answer('two', [
        answering(HOST, [row('x', { ...stored, holds: [{ how: 'local-ref', times: 1 }] })]),
      ]),
    ]);
    expect(objects).toEqual([
      {
        objectId: object('x'),
        ownerId: DRIVER,
        ownerNodeId: node('one'),
        state: 'ready',
        sizeBytes: 100,
        where: 'memory',
        places: [{ nodeId: node('one'), where: 'memory' }],
        holders: [
          {
            processId: HOST,
            nodeId: node('two'),
            how: 'captured-in-actor',
            actorId: 'a_1',
            className: 'Holder',
          },
        ],
      },
    ]);
  });

  it('show what is on disk alone as spilled, and a copy elsewhere as memory', () => {
    const known = answering(DRIVER, [row('x', stored)]);
    const onDisk: BlobRow = { blobId: blob('x'), sizeBytes: 100, ownerId: DRIVER, where: 'disk' };
    const spilled = mergeAnswers([answer('one', [known], [onDisk])]).objects[0];
    expect(spilled).toMatchObject({
      where: 'spilled',
      places: [{ nodeId: node('one'), where: 'spilled' }],
    });
    const copy: BlobRow = { ...onDisk, where: 'memory' };
    const copied = mergeAnswers([answer('one', [known], [onDisk]), answer('two', [], [copy])]);
    expect(copied.objects[0]).toMatchObject({
      where: 'memory',
      places: [
        { nodeId: node('one'), where: 'spilled' },
        { nodeId: node('two'), where: 'memory' },
      ],
    });
  });

  it('name a borrower that has not said more, whether it answers or not', () => {
    const own = row('x', { borrowers: [HOST, process('unknown')] });
    const { objects, processes } = mergeAnswers([
      answer('one', [answering(DRIVER, [own]), silent(HOST)]),
    ]);
    expect(objects[0]?.holders).toEqual([
      { processId: HOST, nodeId: node('one'), how: 'lent', actorId: 'a_1', className: 'Holder' },
      { processId: process('unknown'), how: 'lent' },
    ]);
    expect(processes.find(({ processId }) => processId === HOST)?.silence).toMatch(/1000 ms/);
  });

  it('leave the state of an object open whose owner does not answer', () => {
    const held = row('x', { ...stored, holds: [{ how: 'in-value', times: 2 }] });
    const { objects } = mergeAnswers([answer('one', [silent(DRIVER), answering(HOST, [held])])]);
    expect(objects[0]).toMatchObject({
      state: 'unknown',
      ownerNodeId: node('one'),
      holders: [{ processId: HOST, how: 'in-value', times: 2 }],
    });
  });

  it('show durable objects, also those that no process has a ref of', () => {
    const blobs = ['x', 'y'].map((name): BlobRow => {
      const place = { blobId: blob(name), sizeBytes: 5, ownerId: AGENT_1 };
      return { ...place, where: 'disk', objectId: object(name) };
    });
    const ref = row('x', { ownerId: AGENT_1, state: 'pending' });
    const { objects } = mergeAnswers([answer('one', [answering(DRIVER, [ref])], blobs)]);
    expect(objects.map(({ objectId, state, where }) => [objectId, state, where])).toEqual([
      [object('x'), 'ready', 'spilled'],
      [object('y'), 'ready', 'spilled'],
    ]);
    for (const { holders, ownerNodeId } of objects) {
      expect(holders[0]).toEqual({ processId: AGENT_1, nodeId: node('one'), how: 'durable' });
      expect(ownerNodeId).toBe(node('one'));
    }
  });

  it('are put in order of size, and count what had no place in an answer', () => {
    const rows = [row('s', { sizeBytes: 1 }), row('n'), row('l', { sizeBytes: 9 })];
    const { objects, leftOut } = mergeAnswers([answer('one', [answering(DRIVER, rows, 10)])]);
    expect(objects.map(({ objectId }) => objectId)).toEqual(['l', 's', 'n'].map(object));
    expect(leftOut).toBe(7);
  });

  it('name each node once, and why one did not answer', () => {
    const two: NodeAnswer = { nodeId: node('two'), name: 'two', silence: 'no reply' };
    const { nodes } = mergeAnswers([answer('one', []), two, answer('one', [])]);
    expect(nodes).toEqual([
      { nodeId: node('one'), name: 'one' },
      { nodeId: node('two'), name: 'two', silence: 'no reply' },
    ]);
  });
});
