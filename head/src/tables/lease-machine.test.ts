import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { createIdMint } from '@manta/runtime/ids';
import { describe, expect, it } from 'vitest';
import { stepActor, type ActorEvent } from './actor-machine.ts';
import { createActorRecord, type ActorRecord } from './actor-record.ts';

let counter = 0;
const mint = createIdMint((target) => target.fill(counter++));
const nodeId = mint('node');
const address = { processId: mint('process'), machineId: 'm' };
const cause = (kind: string): DeathCause => ({ kind, message: kind });
const RETURN: ActorEvent = { type: 'return', cause: cause('returned') };
const step = (record: ActorRecord, event: ActorEvent) =>
  stepActor(record, event, 10).map(({ type }) => type);
const blocked = (isBlocked: boolean, incarnation = 0): ActorEvent => ({
  type: 'blocked',
  nodeId,
  incarnation,
  isBlocked,
});
const ended = (kind: string): ActorEvent => ({
  type: 'ended',
  nodeId,
  incarnation: 0,
  cause: cause(kind),
});

function create(isLease = true): ActorRecord {
  return createActorRecord(
    {
      actorId: mint('actor'),
      kind: isLease ? 'task-worker' : undefined,
      jobId: mint('job'),
      ownerId: mint('process'),
      className: 'task',
      classReference: { moduleUrl: 'manta:task-worker', exportKey: 'TaskWorker' },
      methods: [],
      encodedArgs: Uint8Array.of(),
      namespace: 'n',
      lifetime: 'job',
      isolation: 'process',
      maxRestarts: 0,
      maxTaskRetries: 0,
      maxConcurrency: 1,
      gracefulShutdownMs: 0,
      demand: { resources: { cpus: 1 } },
    },
    1_000,
  );
}

function alive(isLease = true, gpuIndexes: number[] = []): ActorRecord {
  const record = create(isLease);
  step(record, { type: 'placed', placement: { nodeId, incarnation: 0, gpuIndexes } });
  step(record, { type: 'started', nodeId, incarnation: 0, address, pid: 7 });
  return record;
}

describe('the life of a lease', () => {
  it('1: what a later head says of it is newer', () => {
    expect(create().revision).toBe(1_000);
  });

  it('13: returned while it waits, it is dead, and nobody is told', () => {
    const record = create();
    expect(step(record, RETURN)).toEqual(['dequeue', 'died']);
    expect(step(record, RETURN)).toEqual([]);
  });

  it('13: returned while it runs, its node is told, and its process is not gone', () => {
    const record = alive();
    expect(stepActor(record, RETURN, 10).at(-1)).toMatchObject({
      type: 'command',
      nodeId,
      command: { type: 'end-actor', how: 'return', incarnation: 0 },
    });
    expect(step(record, ended('returned'))).toEqual(['release', 'save']);
  });

  it('13: returned with a device, it lends its CPUs until its process is gone', () => {
    const record = alive(true, [0]);
    expect(step(record, RETURN)).toEqual(['dequeue', 'died', 'command', 'lend-cpus']);
    expect(step(record, blocked(false))).toEqual([]);
    expect(step(record, ended('returned'))).toEqual(['release', 'save']);
    const waiting = alive(true, [0]);
    step(waiting, blocked(true));
    expect(step(waiting, RETURN)).toEqual(['dequeue', 'died', 'command']);
  });

  it('13: returned, but its process has ended instead', () => {
    const record = alive();
    step(record, RETURN);
    expect(step(record, ended('process-died'))).toEqual(['release', 'process-gone', 'save']);
  });

  it('14: lends its CPUs while it is blocked, once', () => {
    const record = alive();
    expect(step(record, blocked(false))).toEqual([]);
    expect(step(record, blocked(true, 1))).toEqual([]);
    expect(step(record, blocked(true))).toEqual(['lend-cpus']);
    expect(step(record, blocked(true))).toEqual([]);
    expect(step(record, blocked(false))).toEqual(['reclaim-cpus']);
    step(record, blocked(true));
    step(record, ended('process-died'));
    expect(record.isBlocked).toBeUndefined();
  });

  it('14: actors lend nothing', () => {
    const record = alive(false);
    expect(step(record, blocked(true))).toEqual([]);
  });

  it('15: its holder hears once that others want it', () => {
    const record = create();
    expect(step(record, { type: 'wanted' })).toEqual([]);
    const running = alive();
    const { revision } = running;
    expect(step(running, { type: 'wanted' })).toEqual(['announce']);
    expect(running).toMatchObject({ isWanted: true, revision: revision + 1 });
    expect(step(running, { type: 'wanted' })).toEqual([]);
  });
});
