import { assert } from '@manta/runtime/assert';
import { createIdMint, type ActorId, type ClusterId, type MintId } from '@manta/runtime/ids';
import { MemoryBus, type MemoryDelivery } from '@manta/runtime/transport/memory-bus';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import { HeadServer } from '../server/head-server.ts';
import { MemoryStore } from '../store/memory-store.ts';
import type { StateStore, StoreTable } from '../store/state-store.ts';
import type { ClusterSettings } from '../tables/cluster.ts';
import { FakeAgent, type FakeAgentOptions } from './fake-agent.ts';
import { FakeProcess } from './fake-process.ts';
import { SeededRandom } from '@manta/runtime/seeded-random';
import { SimClock } from './sim-clock.ts';

export interface SimWorldOptions {
  readonly seed?: number;
  readonly settings?: Partial<ClusterSettings>;
  readonly store?: StateStore;
  /** Asked for every delivery; a delay never lets a message overtake an earlier one between the same two. */
  readonly fault?: (delivery: MemoryDelivery, random: SeededRandom) => 'drop' | { delayMs: number };
}

/** The real head among fake agents and drivers, on simulated time and a faulty bus: a run is a function of its seed. */
export class SimWorld {
  readonly random: SeededRandom;
  readonly clock = new SimClock();
  readonly mint: MintId;
  readonly clusterId: ClusterId;
  readonly bus: MemoryBus;
  readonly store: StateStore;
  readonly agents: FakeAgent[] = [];
  readonly fatal: unknown[] = [];
  head: HeadServer;
  readonly #options: SimWorldOptions;
  #headStore: SeverableStore;
  readonly #agentNames = new Map<FakeAgent, string>();
  readonly #lastArrivalAt = new Map<string, number>();
  #epoch = 0;
  #names = 0;

  constructor(options: SimWorldOptions = {}) {
    this.#options = options;
    this.random = new SeededRandom(options.seed ?? 1);
    this.mint = createIdMint((target) => this.random.fill(target));
    this.clusterId = this.mint('cluster');
    this.store = options.store ?? new MemoryStore();
    this.#headStore = new SeverableStore(this.store);
    const { fault } = options;
    this.bus = new MemoryBus({
      clock: this.clock,
      schedule: (task, delayMs) => void this.clock.after(delayMs, task),
      random: () => this.random.next(),
      ...(fault === undefined
        ? {}
        : { onDelivery: (delivery) => this.#inOrder(delivery, fault(delivery, this.random)) }),
    });
    this.head = this.#newHead();
  }

  static async start(options: SimWorldOptions = {}): Promise<SimWorld> {
    const world = new SimWorld(options);
    await world.#startHead();
    return world;
  }

  /** With a node, and a driver that it watches. */
  static async withNode(
    options: SimWorldOptions = {},
    agentOptions: Partial<FakeAgentOptions> = {},
  ): Promise<{ world: SimWorld; agent: FakeAgent; driver: FakeProcess }> {
    const world = await SimWorld.start(options);
    const agent = world.addAgent(agentOptions);
    await world.until(() => agent.isRegistered);
    return { world, agent, driver: world.addDriver(agent) };
  }

  addAgent(options: Partial<FakeAgentOptions> = {}): FakeAgent {
    const name = `node-${this.#names++}`;
    const transport = this.bus.connect({ name });
    const { clusterId, clock, mint } = this;
    const agent = new FakeAgent({ clusterId, transport, clock, mint, ...options });
    this.agents.push(agent);
    this.#agentNames.set(agent, name);
    return agent;
  }

  addProcess(): FakeProcess {
    const transport = this.bus.connect({ name: `process-${this.#names++}` });
    return new FakeProcess(this.clusterId, transport, this.mint);
  }

  addDriver(agent: FakeAgent): FakeProcess {
    const driver = this.addProcess();
    agent.linkDriver(driver.processId);
    return driver;
  }

  /** Creates an actor and waits until it is alive. @throws AssertionFailure when the head refuses it. */
  async startActor(driver: FakeProcess, changes: Partial<ActorSpec> = {}): Promise<ActorSpec> {
    const spec = driver.spec(changes);
    const [result] = await this.run(driver.create([spec]));
    assert(result?.error === undefined, `the head refused it: ${result?.error?.message}`);
    await this.until(() => driver.stateOf(spec.actorId) === 'alive');
    return spec;
  }

  partition(agent: FakeAgent): void {
    this.bus.partition(this.#agentNames.get(agent) ?? '');
  }
  /** As by SIGKILL: unlike with a machine that has lost its power, the broker sees the connection close, and says so. */
  async kill(agent: FakeAgent): Promise<void> {
    await agent.die();
    this.head.nodeDisconnected(agent.nodeId);
  }
  heal(agent: FakeAgent): void {
    this.bus.heal(this.#agentNames.get(agent) ?? '');
  }

  /** The head is gone as by SIGKILL: only what was committed is left. */
  killHead(): void {
    this.bus.disconnect(this.#headName);
    this.#headStore.isSevered = true;
    void this.head.close();
  }

  async restartHead(): Promise<void> {
    this.head = this.#newHead();
    await this.#startHead();
  }

  /** Simulated time passes until the condition holds. */
  async until(condition: () => boolean, withinMs = 60_000): Promise<void> {
    for (let passed = 0; passed < withinMs; passed += 10) {
      if (condition()) return;
      await this.clock.advance(10);
    }
    if (!condition())
      throw new Error(`not within ${withinMs} simulated ms: ${condition.toString()}`);
  }

  /** Waits for a promise while simulated time passes. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
    });
    settled.catch(() => undefined);
    await this.until(() => isSettled);
    return settled;
  }

  /** Where an actor lives right now, whatever the head thinks. */
  lives(actorId: ActorId): FakeAgent[] {
    return this.agents.filter((agent) => !agent.isDead && agent.living.has(actorId));
  }

  /** @throws what made a head stop, if anything did. */
  async close(): Promise<void> {
    if (this.fatal.length > 0) throw this.fatal[0];
    await this.head.close();
    for (const agent of this.agents) if (!agent.isDead) await agent.die();
  }

  #inOrder(
    { publisher, receiver }: MemoryDelivery,
    fault: 'drop' | { delayMs: number },
  ): 'drop' | { delayMs: number } {
    if (fault === 'drop') return fault;
    const link = `${publisher} ${receiver}`;
    const now = this.clock.now();
    const at = Math.max(now + fault.delayMs, this.#lastArrivalAt.get(link) ?? 0);
    this.#lastArrivalAt.set(link, at);
    return { delayMs: at - now };
  }

  get #headName(): string {
    return `head-${this.#epoch}`;
  }

  #newHead(): HeadServer {
    this.#epoch++;
    this.#headStore = new SeverableStore(this.store);
    return new HeadServer({
      clusterId: this.clusterId,
      epoch: String(this.#epoch),
      transport: this.bus.connect({ name: this.#headName }),
      clock: this.clock,
      store: this.#headStore,
      settings: { ...this.#options.settings },
      defer: (task) => void this.clock.after(0, task),
      onFatal: (error) => this.fatal.push(error),
    });
  }

  async #startHead(): Promise<void> {
    await this.run(this.head.start());
  }
}

/** What a killed head still had in hand never reaches the store. */
class SeverableStore implements StateStore {
  isSevered = false;
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  load(table: StoreTable): Iterable<readonly [string, unknown]> {
    return this.#store.load(table);
  }
  put(table: StoreTable, key: string, value: unknown): void {
    if (!this.isSevered) this.#store.put(table, key, value);
  }
  delete(table: StoreTable, key: string): void {
    if (!this.isSevered) this.#store.delete(table, key);
  }
  commit(): Promise<void> {
    return this.#store.commit();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
