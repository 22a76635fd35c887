import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { createIdMint } from '@manta/runtime/ids';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { describe, expect, it } from 'vitest';
import { stepActor, type ActorEvent } from './actor-machine.ts';
import { createActorRecord, isQueued, type ActorRecord, type Placement } from './actor-record.ts';
import { startCommand } from './actor-steps.ts';

let counter = 0;
const mint = createIdMint((target) => target.fill(counter++));
const nodeId = mint('node');
const otherNodeId = mint('node');
const address = { processId: mint('process'), machineId: 'm' };
const cause = (kind: string): DeathCause => ({ kind, message: kind });
const CRASH = cause('process-died');

function create(changes: Partial<ActorSpec> = {}): ActorRecord {
  const spec: ActorSpec = {
    actorId: mint('actor'),
    jobId: mint('job'),
    ownerId: mint('process'),
    className: 'A',
    classReference: { moduleUrl: 'file:///a.js', exportKey: 'A' },
    methods: [],
    encodedArgs: Uint8Array.of(),
    namespace: 'n',
    lifetime: 'job',
    isolation: 'process',
    maxRestarts: 0,
    maxTaskRetries: 0,
    maxConcurrency: 1,
    gracefulShutdownMs: 0,
    demand: { resources: {} },
    ...changes,
  };
  return createActorRecord(spec, 0);
}

const step = (record: ActorRecord, event: ActorEvent) =>
  stepActor(record, event, 10).map(({ type }) => type);
const place = (record: ActorRecord) =>
  step(record, {
    type: 'placed',
    placement: { nodeId, incarnation: record.incarnation, gpuIndexes: [] },
  });
const startEvent = (incarnation: number): ActorEvent => ({
  type: 'started',
  nodeId,
  incarnation,
  address,
  pid: 7,
});
const endEvent = (incarnation: number, because = CRASH): ActorEvent => ({
  type: 'ended',
  nodeId,
  incarnation,
  cause: because,
});
const killEvent = (restart: boolean): ActorEvent => ({
  type: 'kill',
  cause: cause('killed'),
  restart,
  counts: true,
});

function running(changes: Partial<ActorSpec> = {}): ActorRecord {
  const record = create(changes);
  place(record);
  step(record, startEvent(0));
  return record;
}

const nodeLost = (): ActorEvent => ({ type: 'node-lost', nodeId, cause: cause('node-died') });

describe('actor machine', () => {
  it('1: a new actor is queued', () => {
    const record = create();
    expect(record.state).toBe('pending');
    expect(isQueued(record)).toBe(true);
  });

  it('2: a place makes its node start this incarnation', () => {
    const record = create();
    expect(place(record)).toEqual(['save', 'dequeue', 'command']);
    expect(record.state).toBe('pending');
    expect(isQueued(record)).toBe(false);
  });

  it('3: a start makes it alive, once', () => {
    const record = running();
    expect(record).toMatchObject({ state: 'alive', pid: 7, address, revision: 1 });
    expect(step(record, startEvent(0))).toEqual([]);
  });

  it.each([
    'constructor-failed',
    'exited',
    'stopped',
    'out-of-scope',
    'owner-died',
    'runtime-env-failed',
  ])('4: %s is final whatever maxRestarts says', (kind) => {
    const record = running({ maxRestarts: -1 });
    const effects = step(record, endEvent(0, cause(kind)));
    expect(effects).toEqual(['release', 'process-gone', 'save', 'announce', 'dequeue', 'died']);
    expect(record).toMatchObject({ state: 'dead', deathCause: { kind } });
  });

  it('5: an accident with restarts left queues the next incarnation', () => {
    const record = running({ maxRestarts: 1 });
    const effects = step(record, endEvent(0));
    expect(effects).toEqual(['release', 'process-gone', 'save', 'announce', 'enqueue']);
    expect(record).toMatchObject({
      state: 'restarting',
      incarnation: 1,
      restarts: 1,
      address: undefined,
    });
  });

  it('5: so does the death of its node, and of its node only', () => {
    const record = running({ maxRestarts: -1 });
    expect(
      step(record, { type: 'node-lost', nodeId: otherNodeId, cause: cause('node-died') }),
    ).toEqual([]);
    step(record, { type: 'node-lost', nodeId, cause: cause('node-died') });
    expect(record).toMatchObject({ state: 'restarting', incarnation: 1 });
  });

  it('6: an accident without restarts left is the end', () => {
    const record = running({ maxRestarts: 1 });
    step(record, endEvent(0));
    place(record);
    step(record, startEvent(1));
    step(record, endEvent(1));
    expect(record).toMatchObject({ state: 'dead', restarts: 1, deathCause: CRASH });
  });

  it('7: a kill is the end at once, and keeps the resources until it is confirmed (10)', () => {
    const record = running({ maxRestarts: -1 });
    expect(step(record, killEvent(false))).toEqual([
      'save',
      'announce',
      'dequeue',
      'died',
      'command',
    ]);
    expect(record).toMatchObject({ state: 'dead', placement: { nodeId } });
    expect(step(record, killEvent(false))).toEqual([]);
    expect(step(record, endEvent(0, cause('killed')))).toEqual(['release', 'process-gone', 'save']);
    expect(record).toMatchObject({
      state: 'dead',
      placement: undefined,
      deathCause: { kind: 'killed' },
    });
  });

  it('8: a kill with restart waits for the confirmed end (10) before it is queued', () => {
    const record = running({ maxRestarts: 1 });
    expect(step(record, killEvent(true))).toEqual(['save', 'announce', 'command']);
    expect(record).toMatchObject({ state: 'restarting', incarnation: 1 });
    expect(isQueued(record)).toBe(false);
    expect(step(record, killEvent(true))).toEqual([]);
    expect(step(record, endEvent(0))).toEqual(['release', 'process-gone', 'save', 'enqueue']);
    expect(isQueued(record)).toBe(true);
  });

  it('8: with none left it is a kill, while queued it is nothing', () => {
    const record = running();
    step(record, killEvent(true));
    expect(record.state).toBe('dead');
    const queued = create({ maxRestarts: 1 });
    expect(step(queued, killEvent(true))).toEqual([]);
    expect(queued.state).toBe('pending');
  });

  it('9: a stop ends gracefully and never starts again', () => {
    const record = running({ maxRestarts: -1 });
    expect(step(record, { type: 'stop', cause: cause('stopped') })).toEqual(['save', 'command']);
    expect(record.state).toBe('alive');
    step(record, endEvent(0));
    expect(record.state).toBe('dead');
    const queued = create();
    step(queued, { type: 'stop', cause: cause('stopped') });
    expect(queued.state).toBe('dead');
  });

  it('9: a stop that met the constructor is repeated when it starts', () => {
    const record = create();
    place(record);
    step(record, { type: 'stop', cause: cause('stopped') });
    expect(step(record, startEvent(0))).toEqual(['save', 'announce', 'command']);
  });

  it('11: what cannot be scheduled is dead, with the reasons', () => {
    const record = create();
    const event = {
      type: 'unschedulable',
      cause: cause('unschedulable'),
      errorName: 'InfeasibleError',
      perNode: { n: 'x' },
    } as const;
    step(record, event);
    expect(record).toMatchObject({
      state: 'dead',
      errorName: 'InfeasibleError',
      perNode: { n: 'x' },
    });
    expect(step(running(), event)).toEqual([]);
  });

  it('12: a start that is not wanted is killed, other stale reports change nothing', () => {
    const record = running({ maxRestarts: -1 });
    step(record, endEvent(0));
    place(record);
    expect(step(record, startEvent(0))).toEqual(['command']);
    expect(step(record, endEvent(0))).toEqual([]);
    expect(record).toMatchObject({ state: 'restarting', incarnation: 1 });
    step(record, killEvent(false));
    expect(step(record, startEvent(1))).toEqual(['command']);
  });

  it('16: the death of a node that has not answered the start costs no restart', () => {
    const record = create({ maxRestarts: 0 });
    place(record);
    expect(step(record, nodeLost())).toEqual(['release', 'save', 'enqueue', 'announce']);
    expect(record).toMatchObject({ state: 'pending', stateSince: 0, incarnation: 1, restarts: 0 });
    expect(record.deathCause?.kind).toBe('node-died');
    expect(isQueued(record)).toBe(true);
    place(record);
    expect(step(record, startEvent(0))).toEqual(['command']);
    step(record, startEvent(1));
    expect(record).toMatchObject({ state: 'alive', restarts: 0, deathCause: undefined });
  });

  it('16: nor does it while it restarts', () => {
    const record = running({ maxRestarts: 1 });
    step(record, endEvent(0));
    place(record);
    step(record, nodeLost());
    expect(record).toMatchObject({ state: 'restarting', incarnation: 2, restarts: 1 });
    place(record);
    expect(startCommand(record, record.placement as Placement)).toMatchObject({ restarts: 1 });
    step(record, startEvent(2));
    step(record, nodeLost());
    expect(record).toMatchObject({ state: 'dead', restarts: 1 });
  });

  it('16: but the fourth time in a row counts as any death does (5, 6)', () => {
    const lose = (record: ActorRecord) => {
      place(record);
      step(record, nodeLost());
    };
    const [mortal, risen] = [create(), create({ maxRestarts: 1 })];
    for (let times = 0; times < 3; times++) for (const record of [mortal, risen]) lose(record);
    for (const record of [mortal, risen]) expect(record.state).toBe('pending');
    for (const record of [mortal, risen]) lose(record);
    expect(mortal).toMatchObject({ state: 'dead', restarts: 0 });
    expect(risen).toMatchObject({ state: 'restarting', restarts: 1 });
    place(risen);
    step(risen, startEvent(risen.incarnation));
    expect(risen.lostStarts).toBeUndefined();
  });

  describe('21: a life that went by (16), but that its owner has spoken to', () => {
    const lived = (incarnation: number): ActorEvent => ({ type: 'lived', incarnation });
    const lost = (changes: Partial<ActorSpec> = {}): ActorRecord => {
      const record = create(changes);
      place(record);
      step(record, nodeLost());
      return record;
    };

    it('counts as a restart, once', () => {
      const record = lost({ maxRestarts: 1 });
      expect(step(record, lived(0))).toEqual(['save']);
      expect(step(record, lived(0))).toEqual([]);
      expect(record).toMatchObject({ state: 'pending', incarnation: 1, restarts: 1 });
      place(record);
      expect(startCommand(record, record.placement as Placement)).toMatchObject({ restarts: 1 });
    });

    it('is the last one of an actor that has no restarts left, also when another lives by then', () => {
      const [queued, alive] = [lost(), lost()];
      place(alive);
      step(alive, startEvent(1));
      expect(step(queued, lived(0))).toEqual(['save', 'announce', 'dequeue', 'died']);
      expect(step(alive, lived(0))).toEqual(['save', 'announce', 'dequeue', 'died', 'command']);
      for (const record of [queued, alive])
        expect([record.state, record.deathCause?.kind]).toEqual(['dead', 'node-died']);
    });

    it('says nothing of any other life', () => {
      const record = lost();
      for (const other of [1, 2]) expect(step(record, lived(other))).toEqual([]);
      const counted = running({ maxRestarts: 1 });
      step(counted, nodeLost());
      expect(step(counted, lived(0))).toEqual([]);
      expect(counted.restarts).toBe(1);
    });
  });

  it('16: what was to be stopped ends', () => {
    const record = create();
    place(record);
    step(record, { type: 'stop', cause: cause('stopped') });
    expect(step(record, nodeLost())).toEqual(['release', 'save', 'announce', 'dequeue', 'died']);
    expect(record.deathCause?.kind).toBe('stopped');
  });

  it('17: a start that nobody heard is queued again as it was', () => {
    const record = create();
    const unheard: ActorEvent = { type: 'unheard', nodeId, incarnation: 0 };
    expect(step(record, unheard)).toEqual([]);
    place(record);
    expect(step(record, { ...unheard, nodeId: otherNodeId })).toEqual([]);
    expect(step(record, unheard)).toEqual(['release', 'save', 'enqueue']);
    expect(record).toMatchObject({ state: 'pending', incarnation: 0, revision: 0 });
    expect(isQueued(record)).toBe(true);
    place(record);
    step(record, { type: 'stop', cause: cause('stopped') });
    step(record, unheard);
    expect(record).toMatchObject({ state: 'dead', deathCause: { kind: 'stopped' } });
    expect(step(running(), unheard)).toEqual([]);
  });

  it('20: what went out of scope starts again to make a result again, while restarts are left', () => {
    const record = running({ maxRestarts: 1 });
    const [outOfScope, revive] = [cause('out-of-scope'), { type: 'revive' as const }];
    expect(step(record, revive)).toEqual([]);
    step(record, { type: 'stop', cause: outOfScope });
    step(record, endEvent(0, outOfScope));
    expect(step(record, revive)).toEqual(['revived', 'save', 'announce', 'enqueue']);
    expect(record).toMatchObject({ state: 'restarting', incarnation: 1, restarts: 1 });
    place(record);
    step(record, startEvent(1));
    step(record, { type: 'stop', cause: outOfScope });
    step(record, endEvent(1, outOfScope));
    expect(step(record, revive)).toEqual([]);
    expect(record.state).toBe('dead');
  });

  it('20: one that is being ended for that is left to end, and queued then (10)', () => {
    const record = running({ maxRestarts: -1 });
    step(record, { type: 'stop', cause: cause('out-of-scope') });
    expect(step(record, { type: 'revive' })).toEqual(['save', 'announce']);
    expect(isQueued(record)).toBe(false);
    const effects = step(record, endEvent(0, cause('out-of-scope')));
    expect(effects).toEqual(['release', 'process-gone', 'save', 'enqueue']);
    expect(record).toMatchObject({ state: 'restarting', incarnation: 1 });
  });

  it('20: no other end is undone', () => {
    const record = running({ maxRestarts: -1 });
    step(record, killEvent(false));
    expect(step(record, { type: 'revive' })).toEqual([]);
    expect(record.state).toBe('dead');
  });
});
