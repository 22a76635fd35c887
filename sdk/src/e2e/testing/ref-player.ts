import type { CoreProcess } from '@manta/runtime/core/core-process';
import { get, type ObjectRef, type ObjectRefStream, put } from '@manta/sdk';
import {
  type Box,
  makeThing,
  readThing,
  type RefKeeperHandle,
  RefKeeperActor,
  type RefReport,
  reportOf,
  type Thing,
} from '../fixtures/ref-keeper.ts';
import { type Life, RefModel } from './ref-model.ts';

interface Actor {
  readonly handle: RefKeeperHandle;
  readonly pid: number;
  readonly life: Life;
}

const ACTORS = 5;
/** In the heap of its owner, and in the store of its node. */
const LENGTHS = [10, 40_000];
const KEYS_MAX = 24;
/** What calls of an actor that was killed fail with. */
const KILLED = new Set(['ActorDiedError', 'ActorUnavailableError', 'TaskError']);

/** Does by chance what processes do with refs, in a way that its seed repeats, and knows who holds what. */
export class RefPlayer {
  readonly log: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly #core: CoreProcess;
  readonly #nodeIds: readonly string[];
  readonly #model = new RefModel();
  readonly #own: Life;
  readonly #held = new Map<number, ObjectRef<Thing>>();
  #actors: Actor[] = [];
  #state: number;

  constructor(seed: number, core: CoreProcess, nodeIds: readonly string[]) {
    this.#state = seed >>> 0;
    this.#core = core;
    this.#nodeIds = nodeIds;
    this.#own = this.#model.start();
  }

  /** From 0 up to, and without, `end`: mulberry32. */
  #random(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  #pick<T>(items: Iterable<T>): T | undefined {
    const list = [...items];
    return list[this.#random(list.length)];
  }

  #pickSome<T>(items: Iterable<T>, most: number): T[] {
    const list = [...items];
    const picked = Array.from({ length: 1 + this.#random(most) }, () => this.#pick(list));
    return [...new Set(picked.filter((item) => item !== undefined))];
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  async begin(): Promise<void> {
    const places = Array.from({ length: ACTORS }, (_, place) => place);
    this.#actors = await Promise.all(places.map((place) => this.#start(place)));
  }

  /** They are on all nodes in turn. */
  async #start(place: number): Promise<Actor> {
    const nodeId = this.#nodeIds[place % this.#nodeIds.length] ?? '';
    const handle = RefKeeperActor.options({ scheduling: { nodeId, soft: false } }).create();
    return { handle, pid: await handle.pid(), life: this.#model.start() };
  }

  // ── steps ────────────────────────────────────────────────────────────────────────────────────────────────
  /** What went wrong. */
  async step(): Promise<string[]> {
    const [name, run] = this.#pickStep();
    this.#count(name);
    return run();
  }

  #pickStep(): [string, () => Promise<string[]>] {
    const steps: [number, string, () => Promise<string[]>][] = [
      [8, 'put', () => this.#put()],
      [8, 'make', () => this.#make()],
      [10, 'hand over', () => this.#handOver()],
      [12, 'send', () => this.#send()],
      [8, 'fetch', () => this.#fetch()],
      [6, 'stream', () => this.#stream()],
      [12, 'let go', () => this.#letGoOfOne()],
      [14, 'read', () => this.#read()],
      [6, 'collect', () => this.#collect()],
      [2, 'kill', () => this.#kill()],
    ];
    let rest = this.#random(steps.reduce((sum, [weight]) => sum + weight, 0));
    const [, name, run] = steps.find(([weight]) => (rest -= weight) < 0) ?? steps[0]!;
    return [name, run];
  }

  #note(line: string): void {
    this.log.push(line);
  }

  #nameOf(life: Life): string {
    const actor = this.#actors.findIndex((candidate) => candidate.life === life);
    return actor < 0 ? 'driver' : `actor ${actor}`;
  }

  #holdHere(key: number, ref: ObjectRef<Thing>): void {
    this.#held.set(key, ref);
    this.#model.hold(this.#own, key);
  }

  async #put(): Promise<string[]> {
    if (this.#held.size >= KEYS_MAX) return [];
    const key = this.#model.newKey();
    const parts = this.#random(2) === 0 ? this.#pickSome(this.#held.keys(), 2) : [];
    const refs = parts.map((part) => this.#held.get(part) as ObjectRef<Thing>);
    const ref = put(makeThing(key, this.#length(), refs));
    this.#note(`driver puts ${key} of ${parts.join(' ')}`);
    this.#model.made(key, { id: ref.id, owner: this.#own, parts });
    this.#holdHere(key, ref);
    return Promise.resolve([]);
  }

  #length(): number {
    return this.#pick(LENGTHS) ?? 10;
  }

  /** An actor makes one, of what it holds, and gives it to the driver. */
  async #make(): Promise<string[]> {
    const actor = this.#pick(this.#actors);
    if (actor === undefined || this.#held.size >= KEYS_MAX) return [];
    const { handle, life } = actor;
    const key = this.#model.newKey();
    const parts = this.#random(2) === 0 ? this.#pickSome(life.held, 2) : [];
    const keeps = this.#random(2) === 0;
    this.#note(`${this.#nameOf(life)} makes ${key} of ${parts.join(' ')}, keeps: ${keeps}`);
    const { ref } = await handle.make(key, this.#length(), parts, keeps);
    this.#model.made(key, { id: ref.id, owner: life, parts });
    this.#holdHere(key, ref);
    if (keeps) this.#model.hold(life, key);
    return [];
  }

  /** The driver gives one to an actor, on the way over others; one of all these may be killed meanwhile. */
  async #handOver(): Promise<string[]> {
    const key = this.#pick(this.#held.keys());
    const route = this.#route();
    const [first] = route;
    if (key === undefined || first === undefined) return [];
    const keeps = this.#random(3) > 0;
    this.#note(`driver sends ${key} over ${this.#namesOf(route)}, keeps: ${keeps}`);
    const box = { ref: this.#held.get(key) as ObjectRef<Thing> };
    const rest = route.slice(1).map(({ handle }) => handle);
    const arrival = first.handle.carry(key, box, rest);
    if (!keeps) this.#dropHere(key, this.#random(2) === 0);
    return this.#arrival(arrival, key, route);
  }

  /** An actor gives one to another. */
  async #send(): Promise<string[]> {
    const [from, ...route] = this.#route(4);
    const key = from && this.#pick(from.life.held);
    if (from === undefined || key === undefined || route.length === 0) return [];
    const keeps = this.#random(2) === 0;
    const way = [from, ...route];
    this.#note(`${this.#namesOf(way)}: ${key}, keeps: ${keeps}`);
    const handles = route.map(({ handle }) => handle);
    const arrival = from.handle.send(key, handles, keeps);
    if (!keeps) this.#model.doubt(from.life, key);
    const failures = await this.#arrival(arrival, key, way);
    if (!keeps && !from.life.isOver && way.at(-1) !== from) this.#model.drop(from.life, key);
    return failures;
  }

  #route(most = 3): Actor[] {
    const left = [...this.#actors];
    return Array.from({ length: 1 + this.#random(most) }, () => {
      const [actor] = left.splice(this.#random(left.length), 1);
      return actor as Actor;
    });
  }

  #namesOf(actors: readonly Actor[]): string {
    return actors.map(({ life }) => this.#nameOf(life)).join(' → ');
  }

  async #arrival(
    arrival: PromiseLike<void>,
    key: number,
    way: readonly Actor[],
  ): Promise<string[]> {
    const victim = this.#random(12) === 0 ? this.#pick(way) : undefined;
    const target = way.at(-1) as Actor;
    if (victim === undefined) {
      await arrival;
      this.#model.hold(target.life, key);
      return [];
    }
    this.#model.mayHold(target.life, key);
    const replaced = this.#replace(victim);
    const outcome = await Promise.resolve(arrival).then(
      () => 'arrived',
      (error: unknown) => (error as Error).name,
    );
    await replaced;
    if (outcome === 'arrived') this.#model.hold(target.life, key);
    const isExplained = outcome === 'arrived' || KILLED.has(outcome);
    return isExplained ? [] : [`${key} did not arrive: ${outcome}`];
  }

  /** An actor gives some back to the driver, which may own them. */
  async #fetch(): Promise<string[]> {
    const actor = this.#pick(this.#actors);
    const keys = actor === undefined ? [] : this.#pickSome(actor.life.held, 3);
    if (actor === undefined || keys.length === 0) return [];
    const keeps = this.#random(2) === 0;
    this.#note(`${this.#nameOf(actor.life)} gives ${keys.join(' ')} back, keeps: ${keeps}`);
    const boxes = await actor.handle.give(keys, keeps);
    keys.forEach((key, index) => this.#holdHere(key, (boxes[index] as Box).ref));
    if (!keeps) for (const key of keys) this.#model.drop(actor.life, key);
    return [];
  }

  async #stream(): Promise<string[]> {
    const actor = this.#pick(this.#actors);
    const keys = actor === undefined ? [] : this.#pickSome(actor.life.held, 4);
    if (actor === undefined || keys.length === 0) return [];
    const stopAfter = 1 + this.#random(keys.length);
    this.#note(`${this.#nameOf(actor.life)} streams ${keys.join(' ')}, read: ${stopAfter}`);
    const items = actor.handle.stream(keys) as unknown as ObjectRefStream<Box>;
    let index = 0;
    for await (const { ref } of items) {
      this.#holdHere(keys[index] as number, ref);
      index += 1;
      if (index === stopAfter) break;
    }
    return index === stopAfter ? [] : [`a stream of ${keys.length} ended after ${index}`];
  }

  #dropHere(key: number, disposes: boolean): void {
    if (disposes) this.#held.get(key)?.[Symbol.dispose]();
    this.#held.delete(key);
    this.#model.drop(this.#own, key);
  }

  async #letGoOfOne(): Promise<string[]> {
    const life = this.#pick(this.#model.lives.filter(({ held }) => held.size > 0));
    const key = life && this.#pick(life.held);
    if (life === undefined || key === undefined) return [];
    const disposes = this.#random(2) === 0;
    this.#note(`${this.#nameOf(life)} ${disposes ? 'disposes of' : 'drops'} ${key}`);
    if (life === this.#own) {
      this.#dropHere(key, disposes);
      return [];
    }
    const handle = this.#handleOf(life);
    await (disposes ? handle.dispose(key) : handle.drop(key));
    this.#model.drop(life, key);
    return [];
  }

  #handleOf(life: Life): RefKeeperHandle {
    return (this.#actors.find((actor) => actor.life === life) as Actor).handle;
  }

  async #collect(): Promise<string[]> {
    await this.#pick(this.#actors)?.handle.collect();
    return [];
  }

  async #kill(): Promise<string[]> {
    const victim = this.#pick(this.#actors);
    if (victim !== undefined) await this.#replace(victim);
    return [];
  }

  async #replace(victim: Actor): Promise<void> {
    this.#note(`${this.#nameOf(victim.life)} is killed`);
    this.#count('kill');
    const place = this.#actors.indexOf(victim);
    this.#model.end(victim.life);
    process.kill(victim.pid, 'SIGKILL');
    this.#actors[place] = await this.#start(place);
  }

  // ── looks ────────────────────────────────────────────────────────────────────────────────────────────────
  async #read(): Promise<string[]> {
    const life = this.#pick(this.#model.lives.filter(({ held }) => held.size > 0));
    const key = life && this.#pick(life.held);
    return life === undefined || key === undefined ? [] : this.#readAs(life, key);
  }

  async #readAs(life: Life, key: number): Promise<string[]> {
    this.#note(`${this.#nameOf(life)} reads ${key}`);
    const expected = this.#model.outcome(key);
    const found =
      life === this.#own
        ? await this.#readHere(this.#held.get(key) as ObjectRef<Thing>, key)
        : await this.#handleOf(life).read(key);
    // What was read before its owner died may be here still.
    const isRight = found === expected || (expected === 'OwnerDiedError' && found === 'right');
    return isRight ? [] : [`${this.#nameOf(life)} reads ${key}: ${found}, not ${expected}`];
  }

  /** With all that is inside. */
  async #readHere(ref: ObjectRef<Thing>, key: number): Promise<string> {
    const outcome = await readThing(ref, key);
    if (outcome !== 'right') return outcome;
    const { parts } = await get(ref);
    for (const [index, part] of this.#model.parts(key).entries()) {
      const expected = this.#model.outcome(part);
      const found = await this.#readHere(parts[index] as ObjectRef<Thing>, part);
      if (found !== expected && found !== 'right') return `its part ${part}: ${found}`;
    }
    return outcome;
  }

  /** Everything that is held anywhere. */
  async readAll(): Promise<string[]> {
    const failures: string[] = [];
    for (const life of this.#model.lives)
      for (const key of [...life.held]) failures.push(...(await this.#readAs(life, key)));
    return failures;
  }

  /** What processes keep though nobody can reach it. */
  async unreachable(): Promise<string[]> {
    const reachable = this.#model.reachableIds();
    return (await this.#reports()).flatMap(([name, { exported, borrowed }]) =>
      [...exported, ...borrowed]
        .filter((id) => !reachable.has(id))
        .map((id) => `${name} keeps ${id}`),
    );
  }

  async #reports(): Promise<[string, RefReport][]> {
    const own: [string, RefReport] = ['driver', await reportOf(this.#core)];
    const others = await Promise.all(
      this.#actors.map(async ({ handle, life }): Promise<[string, RefReport]> => {
        const report = await handle.report();
        return [this.#nameOf(life), report as RefReport];
      }),
    );
    return [own, ...others];
  }

  async remains(): Promise<string[]> {
    return (await this.#reports()).flatMap(
      ([name, { exported, borrowed, liveBytes, views }]): string[] => {
        const isNothing = exported.length + borrowed.length + liveBytes + views === 0;
        const ids = [...exported.map((id) => `owns ${id}`), ...borrowed];
        return isNothing ? [] : [`${name}: ${liveBytes} B, ${views} views, ${ids.join(' ')}`];
      },
    );
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────
  async letGo(): Promise<void> {
    this.#held.clear();
    for (const life of this.#model.lives)
      for (const key of [...life.held, ...life.perhaps]) this.#model.drop(life, key);
    await Promise.all(this.#actors.map(({ handle }) => handle.dropAll()));
  }
}
