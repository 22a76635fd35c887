import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { init, listObjects, shutdown } from '@manta/sdk';
import { startTestCluster, type TestCluster, type TestNode } from '@manta/sdk/testing';
import { DriverProcess } from './driver-process.ts';
import { filesOfNodes, objectFiles, privateMemoryBytes, untilNone } from './leftovers.ts';
import type { PlayerReport } from './player.ts';
import { SeededRandom } from '@manta/runtime/seeded-random';

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

export interface SoakReport {
  readonly seed: number;
  readonly rounds: number;
  readonly operations: Record<string, number>;
  readonly explained: Record<string, number>;
  readonly kills: { readonly drivers: number; readonly nodes: number; readonly heads: number };
  /** Everything that must not be. Empty: the soak has passed. */
  readonly violations: readonly string[];
  /** Private bytes at the end of each round of processes that live to the end; of the last head. */
  readonly memory: Record<string, number[]>;
}

const NODE = { cpus: 4, objectStoreBytes: 32 * 2 ** 20 };
const NODES = 3;
const DRIVERS = 3;
const STRANDS = 4;
const ROUND_SECONDS = 30;
/** How long there may be no head, and no broker. */
const HEADLESS_MS_MAX = 4_000;
/** What is let go may take a while to be gone. */
const CLEAR_MS = 90_000;
/**
 * Private memory may grow so much between the end of the first round and that of the last: engines keep heaps for
 * later, compiled code and pools of buffers. A leak of one object in a hundred would be far above it.
 */
const GROWTH_BYTES_MAX = 48 * 2 ** 20;

/** SeededRandom work with objects on a cluster whose parts are killed at random; then nothing may be left of it. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const previous = process.env['TMPDIR'];
  const temporary = await mkdtemp(join(tmpdir(), 'soak-'));
  process.env['TMPDIR'] = temporary;
  try {
    return await new Soak(options, temporary).run();
  } finally {
    if (previous === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = previous;
    await rm(temporary, { recursive: true, force: true });
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #random: SeededRandom;
  readonly #temporary: string;
  readonly #nodeIds: string[] = [];
  readonly #violations: string[] = [];
  readonly #operations: Record<string, number> = {};
  readonly #explained: Record<string, number> = {};
  readonly #memory: Record<string, number[]> = {};
  readonly #kills = { drivers: 0, nodes: 0, heads: 0 };
  #drivers: DriverProcess[] = [];

  constructor(options: SoakOptions, temporary: string) {
    this.#options = options;
    this.#temporary = temporary;
    this.#random = new SeededRandom(options.seed);
  }

  async run(): Promise<SoakReport> {
    const { seconds, seed, say } = this.#options;
    const cluster = await startTestCluster({ nodes: Array.from({ length: NODES }, () => NODE) });
    const rounds = Math.max(2, Math.round(seconds / ROUND_SECONDS));
    try {
      this.#nodeIds.push(...cluster.nodes.map(({ nodeId }) => nodeId));
      while (this.#drivers.length < DRIVERS) await this.#addDriver(cluster);
      for (let round = 1; round <= rounds; round += 1) {
        // The memory of the last head is looked at over the rest of the time.
        const mayKillHead = round <= rounds / 2;
        await this.#round(cluster, (seconds * 1000) / rounds, mayKillHead);
        say(`round ${round} of ${rounds} is over: ${this.#violations.length} violations`);
      }
      await this.#end(cluster);
    } finally {
      await Promise.allSettled(this.#drivers.map((driver) => driver.kill()));
      await cluster[Symbol.asyncDispose]();
    }
    await this.#expectNoFiles();
    this.#expectFlatMemory();
    return {
      seed,
      rounds,
      operations: this.#operations,
      explained: this.#explained,
      kills: this.#kills,
      violations: this.#violations,
      memory: this.#memory,
    };
  }

  #violation(text: string): void {
    this.#violations.push(text);
    this.#options.say(`VIOLATION ${text}`);
  }

  async #addDriver(cluster: TestCluster): Promise<DriverProcess> {
    const driver = await DriverProcess.start(cluster.address, this.#random.between(1, 2 ** 31));
    this.#drivers.push(driver);
    return driver;
  }

  async #round(cluster: TestCluster, milliseconds: number, mayKillHead: boolean): Promise<void> {
    const end = performance.now() + milliseconds;
    await Promise.all(this.#drivers.map((driver) => driver.play(STRANDS)));
    for (;;) {
      const pause = this.#random.between(2_000, 6_000);
      if (performance.now() + pause >= end) break;
      await delay(pause);
      if (this.#random.chance(0.25)) await this.#replaceNode(cluster);
      else if (this.#random.chance(0.5)) await this.#replaceDriver(cluster);
      else if (mayKillHead && this.#random.chance(0.4)) await this.#replaceHead(cluster);
    }
    await delay(Math.max(0, end - performance.now()));
    for (const report of await Promise.all(this.#drivers.map((driver) => driver.rest())))
      this.#add(report);
    const spilled = await untilNone(CLEAR_MS, async () => {
      const files = await objectFiles(this.#nodeIds, this.#temporary);
      return files.spilled;
    });
    for (const file of spilled) this.#violation(`left on disk after a round: ${file}`);
    await this.#noteMemory(cluster);
  }

  /** The first driver, and the node it is on, live all through: their memory is looked at. */
  async #replaceDriver(cluster: TestCluster): Promise<void> {
    const victim = this.#random.pick(this.#drivers.slice(1));
    if (victim === undefined) return;
    this.#drivers = this.#drivers.filter((driver) => driver !== victim);
    await victim.kill();
    this.#kills.drivers += 1;
    await (await this.#addDriver(cluster)).play(STRANDS);
  }

  async #replaceNode(cluster: TestCluster): Promise<void> {
    const victim = this.#random.pick(
      this.#livingNodes(cluster).filter((node) => this.#isMortal(node)),
    );
    if (victim === undefined) return;
    await Promise.all(this.#drivers.map((driver) => driver.nodeDies(victim.nodeId)));
    await victim.kill();
    await Promise.all(this.#drivers.map((driver) => driver.nodeDied()));
    this.#killed.add(victim.nodeId);
    this.#kills.nodes += 1;
    const { nodeId } = await cluster.addNode(NODE);
    this.#nodeIds.push(nodeId);
  }

  /** Its broker dies with it. Nothing may fail for that: to the players it is no reason. */
  async #replaceHead(cluster: TestCluster): Promise<void> {
    await cluster.killHead();
    this.#kills.heads += 1;
    await delay(this.#random.between(0, HEADLESS_MS_MAX));
    await cluster.restartHead();
    this.#memory['head'] = [];
  }

  readonly #killed = new Set<string>();

  #livingNodes(cluster: TestCluster): TestNode[] {
    return cluster.nodes.filter(({ nodeId }) => !this.#killed.has(nodeId));
  }

  #isMortal({ nodeId }: TestNode): boolean {
    return nodeId !== this.#drivers[0]?.nodeId;
  }

  #add({ operations, explained, violations }: PlayerReport): void {
    addUp(this.#operations, operations);
    addUp(this.#explained, explained);
    for (const violation of violations) this.#violation(violation);
  }

  async #noteMemory(cluster: TestCluster): Promise<void> {
    const [first] = this.#drivers;
    const node = cluster.nodes.find(({ nodeId }) => nodeId === first?.nodeId);
    const pids = { head: cluster.headPid ?? 0, agent: node?.pid ?? 0, driver: first?.pid ?? 0 };
    for (const [name, pid] of Object.entries(pids)) {
      const bytes = await privateMemoryBytes(pid);
      if (bytes !== undefined) (this.#memory[name] ??= []).push(bytes);
    }
  }

  /** All drivers leave: then no store may have anything in use, whichever processes made or read it. */
  async #end(cluster: TestCluster): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver.leave()));
    this.#drivers = [];
    const left = await untilNone(CLEAR_MS, async () => {
      const { segments, pins, spilled } = await objectFiles(this.#nodeIds, this.#temporary);
      const agents = this.#livingNodes(cluster).length;
      return [...segments, ...spilled, ...pins.slice(agents)];
    });
    for (const file of left) this.#violation(`left when all drivers had left: ${file}`);
    if (left.length > 0) await this.#sayWhatIsLeft(cluster);
  }

  async #sayWhatIsLeft({ address }: TestCluster): Promise<void> {
    await init({ address, logToDriver: false });
    for (const object of await listObjects()) this.#options.say(JSON.stringify(object));
    await shutdown();
  }

  async #expectNoFiles(): Promise<void> {
    const left = await untilNone(CLEAR_MS, () => filesOfNodes(this.#nodeIds, this.#temporary));
    for (const file of left) this.#violation(`left when the cluster had ended: ${file}`);
  }

  #expectFlatMemory(): void {
    for (const [name, bytes] of Object.entries(this.#memory)) {
      const growth = (bytes.at(-1) ?? 0) - (bytes[0] ?? 0);
      if (growth <= GROWTH_BYTES_MAX) continue;
      const mebibytes = bytes.map((value) => Math.round(value / 2 ** 20));
      this.#violation(`the memory of the ${name} grows: ${mebibytes.join(', ')} MiB`);
    }
  }
}

function addUp(sums: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + count;
}
