import { afterAll, beforeAll, expect, it } from 'vitest';
import { cancel, explain, init, kill, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster } from '@manta/sdk/testing';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { SlowStarterActor } from './fixtures/lives.ts';
import { Journals } from './testing/journal.ts';
import { livesWith } from './testing/lives.ts';

const journals = new Journals();
const createLife = livesWith(journals);
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: [{ cpus: 4 }] });
  await init({ address: cluster.address, logToDriver: false });
});
afterAll(async () => {
  await shutdown();
  await cluster[Symbol.asyncDispose]();
  journals.remove();
});

/** The explanation once it is about this state: what was just asked for takes a moment to get there. */
function explained(what: Parameters<typeof explain>[0], state: string) {
  return waitFor(
    async () => {
      const explanation = await explain(what);
      return explanation.state === state ? explanation : undefined;
    },
    { describe: `explain() says ${state}` },
  );
}

it('tells running calls from queued ones', async () => {
  const { actor, journal } = createLife();
  const made = Date.now();
  const running = actor.noteAndWait('running');
  const queued = actor.add(1);
  await waitFor(() => journal.count('running') === 1, { describe: 'the call runs' });
  const reached = Date.now();
  const forRunning = await explained(running, 'running');
  expect(forRunning.reason).toMatch(/Life\.noteAndWait runs in actor a_\w+ on node n_/);
  const forQueued = await explained(queued, 'queued');
  expect(forQueued.reason).toMatch(/mailbox of actor .* on node n_\w+, behind/);
  for (const { since } of [forRunning, forQueued]) {
    expect(since).toBeGreaterThanOrEqual(made);
    expect(since).toBeLessThanOrEqual(reached + 100);
  }
  await kill(actor);
});

it('names what a call waits for, and what waits behind it', async () => {
  const [first, second] = [createLife(), createLife()];
  await second.actor.add(0);
  const dependency = first.actor.noteAndWait('never');
  const waiting = second.actor.add(dependency as never);
  const behind = second.actor.add(1);
  const explanation = await explained(waiting, 'waiting-for-dependencies');
  expect(explanation.reason).toContain(dependency.id);
  expect(explanation.reason).toContain('Life.noteAndWait');
  expect((await explained(behind, 'queued')).reason).toMatch(/behind .*Life\.add.*arguments/);
  await cancel(waiting);
  expect(await behind).toBe(1);
  await Promise.all([kill(first.actor), kill(second.actor)]);
});

it('says what an actor without a place waits for, per node', async () => {
  const [node] = cluster.nodes;
  const large = createLife({ cpus: 4 });
  await large.actor.add(1);
  const waiting = createLife({ cpus: 4 });
  const call = waiting.actor.add(1);
  const forActor = await explained(waiting.actor, 'pending');
  expect(forActor.reason).toMatch(/waits for room/);
  expect(forActor.perNode?.[node?.nodeId ?? '']).toMatch(/cpu/i);
  const forCall = await explained(call, 'queued');
  expect(forCall.reason).toMatch(/actor .* is pending.*waits for room/);
  expect(forCall.perNode).toEqual(forActor.perNode);
  await kill(large.actor);
  expect(await call).toBe(1);
  await kill(waiting.actor);

  const impossible = createLife({ cpus: 1000 });
  const never = impossible.actor.add(1);
  const infeasible = await explained(impossible.actor, 'pending');
  expect(infeasible.reason).toMatch(/No node could hold it/);
  expect(infeasible.perNode?.[node?.nodeId ?? '']).toMatch(/1000/);
  expect((await explained(never, 'queued')).reason).toMatch(/No node could hold it/);
  await kill(impossible.actor);
});

it('says that an actor starts, or starts again, and after what', async () => {
  const actor = SlowStarterActor.options({ maxRestarts: 1 }).create(500);
  const call = actor.ping();
  expect((await explained(actor, 'pending')).reason).toMatch(/starts on node .*constructor runs/);
  expect(await call).toBe('pong');
  await kill(actor, { restart: true });
  const again = actor.ping();
  expect((await explained(actor, 'restarting')).reason).toMatch(/node/);
  expect((await explained(again, 'queued')).reason).toMatch(/is restarting/);
  expect(await again).toBe('pong');
  expect((await explained(actor, 'alive')).reason).toMatch(/runs on node .* in process \d+/);
  await kill(actor);
  expect((await explained(actor, 'dead')).reason).toMatch(/kill\(\) was called/);
});

it('says whose handles an actor lives by', async () => {
  const held = createLife();
  await held.actor.add(1);
  const byDriver = /Handles of it are in driver .+ \(process \d+\)/;
  expect((await explained(held.actor, 'alive')).reason).toMatch(byDriver);
  const detached = createLife({ lifetime: 'detached', name: 'explained' });
  await detached.actor.add(1);
  expect((await explained(detached.actor, 'alive')).reason).toMatch(/detached and lives until/);
  await kill(detached.actor);
});

it('says that the loop of a callee is busy', async () => {
  const { actor } = createLife();
  await actor.add(1);
  const blocking = actor.block(1_500);
  expect((await explain(blocking)).reason).toMatch(/has not answered for 1000 ms: it is busy/);
  expect(await blocking).toBe('unblocked');
  expect((await explain(blocking)).state).toBe('ready');
  await kill(actor);
});

it('says that there is no head, and what it knows without one', async () => {
  const { actor } = createLife();
  await actor.add(1);
  await cluster.killHead();
  const newcomer = createLife();
  const call = newcomer.actor.add(1);
  expect(await explain(newcomer.actor)).toMatchObject({
    state: 'registering',
    reason: expect.stringMatching(/head/),
  });
  expect((await explain(call)).reason).toMatch(/head has not answered/);
  expect(await explain(actor)).toMatchObject({
    state: 'alive',
    reason: expect.stringMatching(/No head answers/),
  });
  await cluster.restartHead();
  expect(await call).toBe(1);
});
