import { createIdMint, type NodeId } from '@manta/runtime/ids';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { stepActor, type ActorEvent } from './actor-machine.ts';
import { createActorRecord, isQueued } from './actor-record.ts';

let counter = 0;
const mint = createIdMint((target) => target.fill(counter++));
const nodes: NodeId[] = [mint('node'), mint('node')];
const address = { processId: mint('process'), machineId: 'm' };
const node = fc.constantFrom(...nodes);
const incarnation = fc.nat({ max: 3 });
const cause = fc
  .constantFrom('process-died', 'exited', 'killed', 'out-of-scope')
  .map((kind) => ({ kind, message: kind }));

const event: fc.Arbitrary<ActorEvent> = fc.oneof(
  fc.record({
    type: fc.constant('placed' as const),
    placement: fc.record({
      nodeId: node,
      incarnation: fc.constant(0),
      gpuIndexes: fc.constant([]),
    }),
  }),
  fc.record({
    type: fc.constant('started' as const),
    nodeId: node,
    incarnation,
    address: fc.constant(address),
    pid: fc.constant(1),
  }),
  fc.record({ type: fc.constant('ended' as const), nodeId: node, incarnation, cause }),
  fc.record({ type: fc.constant('node-lost' as const), nodeId: node, cause }),
  fc.record({ type: fc.constant('unheard' as const), nodeId: node, incarnation }),
  fc.record({
    type: fc.constant('kill' as const),
    cause,
    restart: fc.boolean(),
    counts: fc.constant(true),
  }),
  fc.record({ type: fc.constant('stop' as const), cause }),
  fc.record({ type: fc.constant('revive' as const) }),
  fc.record({
    type: fc.constant('unschedulable' as const),
    cause,
    errorName: fc.constant('InfeasibleError'),
    perNode: fc.constant({}),
  }),
);

it('holds its promises under any sequence of events', () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 40 }),
      fc.constantFrom(-1, 0, 2),
      (events, maxRestarts) => {
        const record = createActorRecord(
          {
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
            maxRestarts,
            maxTaskRetries: 0,
            maxConcurrency: 1,
            gracefulShutdownMs: 0,
            demand: { resources: {} },
          },
          0,
        );
        let placements = 0;
        let deaths = 0;
        for (const given of events) {
          // Only what waits is placed, and always in its current life: the scheduler's part of the bargain.
          if (given.type === 'placed' && !isQueued(record)) continue;
          const before = { ...record };
          const step: ActorEvent =
            given.type === 'placed'
              ? { ...given, placement: { ...given.placement, incarnation: record.incarnation } }
              : given;
          const effects = stepActor(record, step, 1).map(({ type }) => type);
          if (given.type === 'placed') placements++;
          placements -= effects.filter((type) => type === 'release').length;
          deaths += effects.filter((type) => type === 'died').length;
          deaths -= effects.filter((type) => type === 'revived').length;
          const isVisible =
            record.state !== before.state || record.incarnation !== before.incarnation;
          expect(placements).toBe(record.placement === undefined ? 0 : 1);
          expect(deaths).toBe(record.state === 'dead' ? 1 : 0);
          const mayLiveAgain = step.type === 'revive' && before.deathCause?.kind === 'out-of-scope';
          expect(before.state !== 'dead' || record.state === 'dead' || mayLiveAgain).toBe(true);
          expect(record.revision > before.revision).toBe(isVisible);
          expect(effects.includes('announce')).toBe(isVisible);
          expect(record.incarnation).toBeGreaterThanOrEqual(before.incarnation);
          expect(maxRestarts === -1 || record.restarts <= maxRestarts).toBe(true);
          const isPlaced = record.placement?.incarnation === record.incarnation;
          expect(record.state !== 'alive' || isPlaced).toBe(true);
          const isChanged = JSON.stringify(record) !== JSON.stringify(before);
          expect(!isChanged || effects.includes('save')).toBe(true);
        }
      },
    ),
    { numRuns: 500 },
  );
});
