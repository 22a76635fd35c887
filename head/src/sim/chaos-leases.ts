import { assert } from '@manta/runtime/assert';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId } from '@manta/runtime/ids';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { FakeAgent } from './fake-agent.ts';
import type { FakeProcess } from './fake-process.ts';
import type { SimWorld } from './sim-world.ts';

const CRASH: DeathCause = { kind: 'process-died', message: 'the worker of a task died' };

/** Leases taken, returned, crashed and blocked at random, and what must have become of them in the end. */
export class ChaosLeases {
  readonly #world: SimWorld;
  readonly #drivers: readonly FakeProcess[];
  readonly #specs: ActorSpec[];
  /** Given back, and nobody has said yet that he has heard of it. */
  readonly #owed = new Map<ActorId, FakeProcess>();

  constructor(world: SimWorld, drivers: readonly FakeProcess[], specs: ActorSpec[]) {
    this.#world = world;
    this.#drivers = drivers;
    this.#specs = specs;
  }

  act(): void {
    const { random } = this.#world;
    if (random.next() < 0.2) void this.#payBack();
    const dice = random.next();
    if (dice < 0.35) this.#take();
    else if (dice < 0.6) this.#giveBack();
    else if (dice < 0.9) this.#block();
    else if (dice < 0.95) this.#crash();
    else this.#callOff();
  }

  #take(): void {
    const { random } = this.#world;
    const driver = random.pick(this.#drivers);
    if (driver === undefined) return;
    const demands: ActorSpec['demand'][] = [
      { resources: { cpus: 1 } },
      { resources: { cpus: 2, memoryBytes: 2 ** 20 } },
      { resources: { gpus: 1, cpus: 1 } },
      { resources: { cpus: 1 }, scheduling: 'spread' },
    ];
    const spec = driver.leaseSpec(random.pick(demands) ?? { resources: {} });
    this.#specs.push(spec);
    driver.leases.set(spec.actorId, spec);
    driver.create([spec]).catch(() => undefined);
  }

  #giveBack(): void {
    const driver = this.#world.random.pick(this.#drivers);
    const actorId = driver && this.#world.random.pick([...driver.leases.keys()]);
    if (driver !== undefined && actorId !== undefined) this.#owe(driver, [actorId]);
  }

  #owe(driver: FakeProcess, actorIds: Iterable<ActorId>): void {
    for (const actorId of actorIds) {
      driver.leases.delete(actorId);
      this.#owed.set(actorId, driver);
    }
    void this.#payBack();
  }

  /** As every submitter does: again until somebody answers. */
  async #payBack(): Promise<void> {
    const pay = async ([actorId, driver]: [ActorId, FakeProcess]): Promise<void> => {
      try {
        await driver.giveBack(actorId);
      } catch (error) {
        if (!String(error).includes('ActorNotFoundError')) return;
      }
      this.#owed.delete(actorId);
    };
    await Promise.all([...this.#owed].map(pay));
  }

  /** Nothing is lost any more: what was given back is heard of, what was asked for is asked for again. */
  async settle(): Promise<void> {
    await this.#world.run(this.#payBack());
    for (const driver of this.#drivers) await this.#world.run(driver.holdAgain());
  }

  #block(): void {
    const found = this.#pickLiving();
    if (found === undefined) return;
    const [agent, actorId] = found;
    agent.setBlocked(actorId, agent.living.get(actorId)?.isBlocked === false);
  }

  #crash(): void {
    const found = this.#pickLiving();
    if (found !== undefined) found[0].end(found[1], CRASH);
  }

  /** A submitter is done with everything at once. */
  #callOff(): void {
    const driver = this.#world.random.pick(this.#drivers);
    if (driver !== undefined) this.#owe(driver, [...driver.leases.keys()]);
  }

  #pickLiving(): [FakeAgent, ActorId] | undefined {
    const living = this.#world.agents
      .filter(({ isDead }) => !isDead)
      .flatMap((agent) =>
        [...agent.living.values()]
          .filter(({ spec, isStarted }) => spec.kind === 'task-worker' && isStarted)
          .map(({ actorId }): [FakeAgent, ActorId] => [agent, actorId]),
      );
    return this.#world.random.pick(living);
  }

  /** Every lease that somebody needs lives or waits, and every other one is gone. */
  checkSettled(): void {
    const { cluster } = this.#world.head;
    // A driver that never heard that a head had started is taken for dead, with all that it owned.
    const known = this.#drivers.filter(({ processId }) => !cluster.processes.hasEnded(processId));
    const needed = new Set(known.flatMap(({ leases }) => [...leases.keys()]));
    for (const actorId of needed) {
      const state = cluster.actors.get(actorId)?.record.state;
      assert(state === 'alive' || state === 'pending', `lease ${actorId} is ${state ?? 'lost'}`);
    }
    for (const { record } of cluster.actors.leases()) {
      const { actorId } = record.spec;
      assert(needed.has(actorId) || record.state === 'dead', `lease ${actorId} is nobody's`);
    }
    for (const agent of this.#world.agents) {
      for (const { spec, actorId } of agent.living.values()) {
        const isLease = spec.kind === 'task-worker' && !agent.isDead;
        assert(!isLease || needed.has(actorId), `lease ${actorId} runs for nobody`);
      }
    }
  }
}
