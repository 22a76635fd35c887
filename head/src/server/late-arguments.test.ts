import { Explanation } from '@manta/runtime/wire/actor-messages';
import { Acknowledgement, type ActorSpec } from '@manta/runtime/wire/messages';
import { afterEach, expect, it } from 'vitest';
import type { FakeAgent } from '../sim/fake-agent.ts';
import type { FakeProcess } from '../sim/fake-process.ts';
import { SimWorld } from '../sim/sim-world.ts';

let world: SimWorld;

async function start(): Promise<{ agent: FakeAgent; driver: FakeProcess }> {
  const started = await SimWorld.withNode({});
  ({ world } = started);
  return started;
}

afterEach(() => world.close());

async function register(driver: FakeProcess, changes: Partial<ActorSpec> = {}) {
  const spec = driver.spec(changes);
  await world.run(driver.create([{ ...spec, awaitsArguments: true }]));
  return spec;
}

function send(driver: FakeProcess, spec: ActorSpec): Promise<unknown> {
  const message = { actorId: spec.actorId, spec };
  return world.run(driver.ask('actor.arguments', message, Acknowledgement));
}

it('an actor without its arguments is known and explained, and starts with them once they are there', async () => {
  const { agent, driver } = await start();
  const spec = await register(driver, { name: 'late' });
  await world.clock.advance(60_000);
  expect(agent.everStarted.has(spec.actorId)).toBe(false);
  const { actorId } = spec;
  const explanation = await world.run(driver.ask('actor.explain', { actorId }, Explanation));
  expect(explanation).toMatchObject({
    state: 'pending',
    reason: expect.stringMatching(/constructor waits for refs; process p_\w+/),
  });
  const [taken] = await world.run(driver.create([driver.spec({ name: 'late' })]));
  expect(taken?.error?.name).toBe('NameTakenError');
  await send(driver, { ...spec, encodedArgs: Uint8Array.of(7) });
  await world.until(() => driver.stateOf(actorId) === 'alive');
  const [command] = agent.commands;
  expect(command).toMatchObject({ spec: { encodedArgs: Uint8Array.of(7) } });
  // Heard again it is no news, and neither is the registration.
  await send(driver, { ...spec, encodedArgs: Uint8Array.of(8) });
  await world.run(driver.create([{ ...spec, awaitsArguments: true }]));
  await world.clock.advance(1_000);
  expect(agent.commands).toHaveLength(1);
});

it('a head that starts meanwhile goes on waiting, and another one keeps the arguments', async () => {
  const { agent, driver } = await start();
  const spec = await register(driver);
  world.killHead();
  await world.restartHead();
  await world.clock.advance(1_000);
  expect(agent.everStarted.has(spec.actorId)).toBe(false);
  world.partition(agent);
  await send(driver, { ...spec, encodedArgs: Uint8Array.of(7) });
  world.killHead();
  world.heal(agent);
  await world.restartHead();
  await world.until(() => driver.stateOf(spec.actorId) === 'alive');
  expect(agent.commands.at(-1)).toMatchObject({ spec: { encodedArgs: Uint8Array.of(7) } });
});

it('killed, or left by its last holder, it is never made', async () => {
  const { agent, driver } = await start();
  const [killed, dropped] = [await register(driver), await register(driver)];
  await world.run(driver.ask('actor.kill', { actorId: killed.actorId }, Acknowledgement));
  await world.run(driver.release([dropped.actorId]));
  await world.until(() => driver.stateOf(killed.actorId) === 'dead');
  await world.clock.advance(10_000);
  for (const spec of [killed, dropped]) await send(driver, spec);
  await world.clock.advance(1_000);
  expect(agent.commands).toEqual([]);
});

it('arguments that cannot be had end it, and say why', async () => {
  const { driver } = await start();
  const { actorId } = await register(driver);
  const cause = { kind: 'constructor-failed', message: 'the first argument failed' };
  const failure = { cause, encodedError: Uint8Array.of(1) };
  await world.run(driver.ask('actor.arguments', { actorId, failure }, Acknowledgement));
  await world.until(() => driver.stateOf(actorId) === 'dead');
  expect(driver.newest.get(actorId)).toMatchObject({ deathCause: cause });
});

it('a detached one dies with its creator until its arguments are there', async () => {
  const { agent } = await start();
  const [creator, other] = [world.addDriver(agent), world.addProcess()];
  const detached = { lifetime: 'detached' } as const;
  const waiting = await register(creator, { ...detached, name: 'waiting' });
  const whole = await register(creator, { ...detached, name: 'whole' });
  await send(creator, whole);
  const { jobId, processId } = creator;
  await world.run(creator.ask('job.end', { jobId, processId }, Acknowledgement));
  await world.clock.advance(10_000);
  expect(agent.living.has(whole.actorId)).toBe(true);
  const state = async ({ actorId }: ActorSpec) =>
    (await world.run(other.ask('actor.explain', { actorId }, Explanation))).state;
  expect([await state(waiting), await state(whole)]).toEqual(['dead', 'alive']);
});
