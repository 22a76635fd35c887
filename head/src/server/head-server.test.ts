import { expect, it } from 'vitest';
import { SimWorld } from '../sim/sim-world.ts';

it('registers a node, creates an actor there and pushes its states', async () => {
  const world = await SimWorld.start();
  const agent = world.addAgent();
  await world.until(() => agent.isRegistered);
  const driver = world.addProcess();
  const spec = driver.spec();
  expect(await world.run(driver.create([spec]))).toEqual([{}]);
  await world.until(() => driver.stateOf(spec.actorId) === 'alive');
  expect(agent.living.get(spec.actorId)?.incarnation).toBe(0);
  await world.close();
});
