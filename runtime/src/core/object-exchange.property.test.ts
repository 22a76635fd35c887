import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { RefProcess } from '../testing/ref-process.ts';
import { RefWorld } from '../testing/ref-world.ts';

/** By hand also with many more: MANTA_RUNS=2000. */
const RUNS = Number(process.env['MANTA_RUNS'] ?? 400);
const PROCESSES = 4;
/** Longer than anything that the counting waits for: dead peers, silent borrowers. */
const LONG_MS = 120_000;

const step = fc.record({
  what: fc.oneof(
    { weight: 2, arbitrary: fc.constant('put' as const) },
    { weight: 3, arbitrary: fc.constantFrom('pass' as const, 'take' as const) },
    { weight: 6, arbitrary: fc.constant('relay' as const) },
    { weight: 3, arbitrary: fc.constantFrom('box' as const, 'open' as const) },
    { weight: 2, arbitrary: fc.constantFrom('drop' as const, 'dispose' as const) },
    { weight: 1, arbitrary: fc.constantFrom('kill' as const, 'time' as const) },
    { weight: 2, arbitrary: fc.constant('break' as const) },
  ),
  process: fc.nat(PROCESSES - 1),
  other: fc.nat(PROCESSES - 1),
  refs: fc.array(fc.nat(100), { minLength: 1, maxLength: 3 }),
  /** Which records arrive before the next step. */
  deliveries: fc.array(fc.nat(1_000), { maxLength: 5 }),
  seconds: fc.nat(5),
  /** How many of the last records of a killed process, or on a broken connection, do not arrive. */
  losses: fc.infiniteStream(fc.nat(3)),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function run(world: RefWorld, { what, process: index, other, refs: choices, losses }: Step): void {
  const process = world.living[index] as RefProcess;
  const target = world.living[other] as RefProcess;
  const isCall = target !== process;
  if (what === 'put') process.put();
  if (what === 'kill') world.kill(process, losses);
  if (what === 'break' && isCall) world.breakConnections(process, target, losses);
  if (what === 'take' && isCall) process.take(target, choices);
  const refs = process.picked(choices);
  const [ref] = refs;
  if (ref === undefined) return;
  if ((what === 'pass' || what === 'relay') && isCall) process.pass(target, refs);
  // From now on only the call holds it, and then only who was called.
  if (what === 'relay') while ((process.held.get(ref) ?? 0) > (isCall ? 1 : 0)) process.drop(ref);
  if (what === 'box') process.box(refs);
  if (what === 'open') process.open(ref);
  if (what === 'drop') process.drop(ref);
  if (what === 'dispose' && process.held.get(ref) === 1) process.dispose(ref);
}

/** Messages are quicker than the times that the counting waits for. */
async function passTime(world: RefWorld, milliseconds: number): Promise<void> {
  await settle(world);
  for (let passedMs = 0; passedMs < milliseconds; passedMs += 1_000) {
    world.clock.advance(1_000);
    await settle(world);
    for (const process of world.living) process.collect();
  }
}

async function settle(world: RefWorld): Promise<void> {
  await turn();
  for (let choice = 0; world.deliver(choice); choice += 7) await turn();
}

/** Code everywhere lets go of all it holds, and what it gets afterwards, and time passes. */
async function letGo(world: RefWorld): Promise<void> {
  for (let passedMs = 0; passedMs < LONG_MS && !world.isAtRest; passedMs += LONG_MS / 10) {
    for (const process of world.living) {
      for (const [ref, count] of process.held)
        for (let times = 0; times < count; times += 1) process.drop(ref);
      process.collect();
    }
    await passTime(world, LONG_MS / 10);
  }
}

it(
  'never forgets an object that somebody holds, and in the end forgets all',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 40, maxLength: 120, size: 'max' }),
        async (steps) => {
          const world = new RefWorld(PROCESSES);
          for (const next of steps) {
            run(world, next);
            await turn();
            if (next.what === 'time') await passTime(world, next.seconds * 1_000);
            for (const choice of next.deliveries) {
              world.deliver(choice);
              await turn();
            }
            for (const process of world.living) process.collect();
            expect(world.lost()).toEqual([]);
          }
          await settle(world);
          expect(world.lost()).toEqual([]);
          await letGo(world);
          expect(world.remains()).toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
  },
  RUNS * 1_000,
);
