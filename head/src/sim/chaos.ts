import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { ActorId } from '@manta/runtime/ids';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { FakeAgent } from './fake-agent.ts';
import type { FakeProcess } from './fake-process.ts';
import { ChaosLeases } from './chaos-leases.ts';
import { checkTables, checkWorld } from './checkers.ts';
import type { SeededRandom } from '@manta/runtime/seeded-random';
import { SimWorld } from './sim-world.ts';

export interface ChaosOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Random things that happen, one after the other. */
  readonly steps: number;
  readonly failureDetectionMs?: number;
  /** Share of control messages that are lost. */
  readonly lossShare?: number;
  /** Whether heads are killed and started again. */
  readonly headFails?: boolean;
}

export interface ChaosReport {
  readonly created: number;
  readonly nodesLost: number;
  readonly headStarts: number;
  readonly finalStates: Readonly<Record<string, number>>;
}

const CRASH: DeathCause = { kind: 'process-died', message: 'exit code 1', exitCode: 1 };
const FINAL: DeathCause = { kind: 'exited', message: 'exitActor()' };
const GPUS = [0, 1].map((index) => ({
  index,
  uuid: `G${index}`,
  model: 'T4',
  memoryBytes: 16_000,
}));

/**
 * The real head under random faults, until they end and everything must settle. Every broken promise is thrown with
 * the seed that shows it again.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const run = new ChaosRun(options);
  try {
    return await run.run();
  } catch (error) {
    throw new Error(`seed ${options.seed} (${JSON.stringify(options)}): ${String(error)}`, {
      cause: error,
    });
  }
}

class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #world: SimWorld;
  readonly #random: SeededRandom;
  readonly #drivers: FakeProcess[] = [];
  readonly #specs: ActorSpec[] = [];
  readonly #partitioned = new Set<FakeAgent>();
  readonly #leases: ChaosLeases;
  #nodesLost = 0;
  #headStarts = 1;
  #isHealthy = false;

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#world = new SimWorld({
      seed: options.seed,
      settings: { failureDetectionMs: options.failureDetectionMs ?? 1_000, recoveryMs: 5_000 },
      fault: ({ subject }, random) => {
        const mayBeLost = !this.#isHealthy && !subject.includes('.process.');
        if (mayBeLost && random.next() < (options.lossShare ?? 0.02)) return 'drop';
        return { delayMs: random.below(5) };
      },
    });
    this.#random = this.#world.random;
    this.#leases = new ChaosLeases(this.#world, this.#drivers, this.#specs);
  }

  async run(): Promise<ChaosReport> {
    const world = this.#world;
    await world.run(world.head.start());
    for (let index = 0; index < this.#options.nodes; index++) this.#addNode();
    for (let index = 0; index < 3; index++) this.#drivers.push(world.addProcess());
    for (const driver of this.#drivers) driver.createsAgain = true;
    await world.clock.advance(500);
    for (let step = 0; step < this.#options.steps; step++) {
      await this.#act();
      await world.clock.advance(this.#random.below(60));
      this.#check();
    }
    await this.#settle();
    const finalStates: Record<string, number> = {};
    for (const { record } of world.head.cluster.actors.all()) {
      finalStates[record.state] = (finalStates[record.state] ?? 0) + 1;
    }
    const report = {
      created: this.#specs.length,
      nodesLost: this.#nodesLost,
      headStarts: this.#headStarts,
      finalStates,
    };
    await world.close();
    return report;
  }

  #check(): void {
    checkTables(this.#world.head.cluster);
    checkWorld(this.#world, this.#specs);
    if (this.#world.fatal.length > 0) throw this.#world.fatal[0];
  }

  async #act(): Promise<void> {
    const dice = this.#random.next();
    if (dice < 0.35) this.#create();
    else if (dice < 0.55) this.#crashActor();
    else if (dice < 0.65) this.#endActor();
    else if (dice < 0.7) this.#release();
    else if (dice < 0.72) this.#makeAgain();
    else if (dice < 0.8) this.#togglePartition();
    else if (dice < 0.85) await this.#killNode();
    else if (dice < 0.9) this.#addNode();
    else if (dice < 0.93 && this.#options.headFails) await this.#restartHead();
    else if (dice < 0.95) this.#breakConnection();
    else this.#create();
    for (let times = this.#random.below(3); times > 0; times--) this.#leases.act();
  }

  #addNode(): void {
    const random = this.#random;
    const gpus = random.next() < 0.3 ? GPUS : [];
    this.#world.addAgent({
      capacity: { gpus, cpus: 2 + random.below(4) },
      labels: { zone: random.pick(['eu', 'us']) ?? 'eu' },
      startMs: () => random.below(50),
      construct: () =>
        random.next() < 0.02 ? { kind: 'constructor-failed', message: 'no' } : undefined,
    });
  }

  #create(): void {
    const count = 1 + this.#random.below(Math.ceil(this.#options.nodes / 20));
    for (let index = 0; index < count; index++) this.#createOne();
  }

  #createOne(): void {
    const random = this.#random;
    const driver = random.pick(this.#drivers);
    if (driver === undefined) return;
    const demands: ActorSpec['demand'][] = [
      { resources: {} },
      { resources: { cpus: 0.5 } },
      { resources: { cpus: 1 }, labels: { zone: '!us' } },
      { resources: { gpus: 0.5 } },
      { resources: { gpus: 1 }, scheduling: 'spread' },
      { resources: { cpus: 1 }, scheduling: 'spread' },
    ];
    const named = random.next() < 0.1;
    const spec = driver.spec({
      demand: random.pick(demands) ?? { resources: {} },
      maxRestarts: random.pick([0, 1, 3, -1]) ?? 0,
      lifetime: random.next() < 0.3 ? 'detached' : 'job',
      isolation: random.pick(['process', 'shared'] as const) ?? 'process',
      ...(named ? { name: `name-${random.below(3)}`, getIfExists: random.next() < 0.5 } : {}),
      ...(random.next() < 0.1 ? { schedulingTimeoutMs: random.below(2_000) } : {}),
    });
    this.#specs.push(spec);
    driver.create([spec]).catch(() => undefined);
  }

  #crashActor(): void {
    const agent = this.#random.pick(
      this.#world.agents.filter(({ living, isDead }) => !isDead && living.size > 0),
    );
    const actorId = agent && this.#random.pick([...agent.living.keys()]);
    if (actorId !== undefined) agent?.end(actorId, this.#random.next() < 0.9 ? CRASH : FINAL);
  }

  #endActor(): void {
    const spec = this.#random.pick(this.#specs);
    const driver = this.#random.pick(this.#drivers);
    if (spec === undefined || driver === undefined) return;
    const { actorId } = spec;
    const restart = this.#random.next() < 0.6;
    const asked =
      this.#random.next() < 0.7
        ? driver.tell('actor.kill', { actorId, restart })
        : driver.tell('actor.stop', { actorId });
    asked.catch(() => undefined);
  }

  #release(): void {
    const driver = this.#random.pick(this.#drivers);
    const held = [...(driver?.held ?? [])].filter((actorId) => !driver?.leases.has(actorId));
    const actorId = this.#random.pick(held);
    if (actorId !== undefined) driver?.release([actorId]).catch(() => undefined);
  }

  /** Of one that was let go, mostly: it is dead by now, or about to be ended. */
  #makeAgain(): void {
    const driver = this.#random.pick(this.#drivers);
    const spec = this.#random.pick(
      this.#specs.filter(
        ({ actorId, kind }) => kind !== 'task-worker' && driver?.held.has(actorId) === false,
      ),
    );
    if (spec !== undefined) driver?.holdToMakeAgain(spec.actorId).catch(() => undefined);
  }

  #togglePartition(): void {
    const agent = this.#random.pick(this.#world.agents.filter(({ isDead }) => !isDead));
    if (agent === undefined) return;
    if (this.#partitioned.delete(agent)) this.#world.heal(agent);
    else {
      this.#partitioned.add(agent);
      this.#world.partition(agent);
    }
  }

  /** A connection ends, and its node is back at once. */
  #breakConnection(): void {
    const agent = this.#random.pick(this.#world.agents.filter(({ isDead }) => !isDead));
    if (agent !== undefined) this.#world.head.nodeDisconnected(agent.nodeId);
  }

  async #killNode(): Promise<void> {
    const living = this.#world.agents.filter(({ isDead }) => !isDead);
    if (living.length < 2) return;
    this.#nodesLost++;
    const victim = this.#random.pick(living);
    if (victim === undefined) return;
    await (this.#random.next() < 0.5 ? victim.die() : this.#world.kill(victim));
  }

  async #restartHead(): Promise<void> {
    this.#headStarts++;
    this.#world.killHead();
    await this.#world.clock.advance(this.#random.below(300));
    await this.#world.restartHead();
  }

  /** No more faults: what the head says, what runs and what holders know must become one. */
  async #settle(): Promise<void> {
    this.#isHealthy = true;
    for (const agent of this.#partitioned) this.#world.heal(agent);
    await this.#leases.settle();
    await this.#world.clock.advance(15_000, 5);
    this.#check();
    for (const driver of this.#drivers) await this.#world.run(driver.holdAgain());
    const { cluster } = this.#world.head;
    this.#leases.checkSettled();
    for (const { record, demand } of cluster.actors.all()) {
      const { actorId } = record.spec;
      const lives = this.#world.lives(actorId);
      if (record.state === 'alive') {
        const [agent] = lives;
        expectThat(
          agent?.living.get(actorId)?.incarnation === record.incarnation,
          `${actorId} lives nowhere`,
        );
      } else {
        expectThat(lives.length === 0, `${actorId} lives although ${record.state}`);
        expectThat(
          record.placement === undefined,
          `${actorId} is ${record.state} and never left its node`,
        );
      }
      const diedOfNode = record.state === 'dead' && record.deathCause?.kind === 'node-died';
      const isUnborn = !this.#world.agents.some((agent) => agent.everStarted.has(actorId));
      expectThat(
        !diedOfNode || !isUnborn || record.lostStarts === 3,
        `${actorId} died of a node where it never lived`,
      );
      const isWaiting = record.state === 'pending' || record.state === 'restarting';
      expectThat(
        !isWaiting || cluster.actors.queues.has(demand.shape),
        `${actorId} waits for nothing`,
      );
      this.#checkHolders(actorId, record.state);
    }
  }

  #checkHolders(actorId: ActorId, state: string): void {
    for (const driver of this.#drivers) {
      if (!driver.held.has(actorId) || driver.stateOf(actorId) === undefined) continue;
      expectThat(
        driver.stateOf(actorId) === state,
        `a holder of ${actorId} believes ${driver.stateOf(actorId)}, not ${state}`,
      );
    }
  }
}

function expectThat(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}
