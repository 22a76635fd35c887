import { setTimeout as delay } from 'node:timers/promises';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import { explain, type ObjectRef } from '@manta/sdk';
import { type Content, isValueOf } from './contents.ts';
import { Keeper } from './keeper.ts';
import { type ActorEntry, type Fate, type Life, type ObjectEntry, use, World } from './model.ts';
import { OPERATIONS } from './operations.ts';
import { SeededRandom } from '@manta/runtime/seeded-random';
import { isNothing, type Remains, remainsAfterCollection } from './remains.ts';

/** Longer than anything may take, also when a node has just died and the machine is busy. */
const HANG_MS = 60_000;
const ACTORS = 3;
const FIND_PAUSE_MS = 50;
const ENTRIES_MAX = 30;
const VIEWS_MAX = 3;
const VIOLATIONS_MAX = 20;
/** What is held for a process that died is given up once it has been looked for in vain, by each way to it. */
const REST_MS = 90_000;
const REST_POLL_MS = 100;
/** Between the operations of one strand: others want the processor too. */
const PAUSE_MS = 2;

/** What an operation has to do with. */
interface Concerned {
  readonly lives?: readonly Life[];
  readonly entries?: readonly ObjectEntry[];
  readonly fates?: readonly Fate[];
}

type EntryOptions = Partial<Fate> & { isNest?: boolean };

export interface PlayerReport {
  readonly operations: Record<string, number>;
  readonly explained: Record<string, number>;
  readonly violations: readonly string[];
}

/** One driver's random life: several strands of operations over the same objects and actors. */
export class Player {
  readonly world = new World();
  readonly random: SeededRandom;
  readonly entries: ObjectEntry[] = [];
  readonly actors: ActorEntry[] = [];
  /** Values that are kept while their refs may be gone. */
  views: [unknown, Content][] = [];
  #report = { operations: {}, explained: {}, violations: [] as string[] };
  #isPlaying = false;
  #strands: Promise<void>[] = [];
  #keys = 0;
  readonly #doomedNodes = new Set<string>();

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  play(strands: number): void {
    this.#isPlaying = true;
    this.#strands = Array.from({ length: strands }, () => this.#strand());
  }

  async #strand(): Promise<void> {
    while (this.#isPlaying) {
      const operation = this.#pickOperation();
      this.count('operations', operation.name);
      try {
        await operation.run(this);
      } catch (error) {
        this.violation(`${operation.name}: ${(error as Error).stack ?? String(error)}`);
      }
      this.#trim();
      await delay(PAUSE_MS);
    }
  }

  #pickOperation(): (typeof OPERATIONS)[number] {
    const total = OPERATIONS.reduce((sum, { weight }) => sum + weight, 0);
    let rest = this.random.next() * total;
    return OPERATIONS.find(({ weight }) => (rest -= weight) < 0) ?? OPERATIONS[0];
  }

  #trim(): void {
    while (this.entries.length > ENTRIES_MAX) this.entries.shift();
    while (this.views.length > VIEWS_MAX) this.dropView();
  }

  count(kind: 'operations' | 'explained', name: string): void {
    const counts: Record<string, number> = this.#report[kind];
    counts[name] = (counts[name] ?? 0) + 1;
  }

  violation(text: string): void {
    if (this.#report.violations.length < VIOLATIONS_MAX) this.#report.violations.push(text);
  }

  newKey(): string {
    this.#keys += 1;
    return `k${this.#keys}`;
  }

  add(ref: ObjectRef<unknown>, contents: readonly Content[], more: EntryOptions = {}): void {
    const { isNest = false, ...fate } = more;
    this.entries.push({ ref, contents, isNest, fate: this.world.fate(fate) });
  }

  pickEntry(isNest?: boolean): ObjectEntry | undefined {
    return this.random.pick(
      this.entries.filter((entry) => isNest === undefined || entry.isNest === isNest),
    );
  }

  /** Takes it out of reach of the other strands. */
  forget(entry: ObjectEntry): void {
    const index = this.entries.indexOf(entry);
    if (index >= 0) this.entries.splice(index, 1);
  }

  keepView(value: unknown, content: Content): void {
    this.views.push([value, content]);
  }

  dropView(): void {
    const view = this.views.shift();
    if (view !== undefined && !isValueOf(...view))
      this.violation(`a value that was kept has changed: ${JSON.stringify(view[1])}`);
  }

  /** An actor that is alive as far as is known; made where there are too few. */
  actor(): ActorEntry {
    if (this.actors.length < ACTORS) return this.#createActor();
    return this.random.pick(this.actors) ?? this.#createActor();
  }

  #createActor(): ActorEntry {
    const mayRestart = this.random.chance(0.3);
    const actor: ActorEntry = {
      handle: Keeper.options({ maxRestarts: mayRestart ? -1 : 0, scheduling: 'spread' }).create(),
      mayRestart,
      // Until it has answered it may be on a node whose death is not known yet.
      life: { isOver: true },
      nodeId: undefined,
      held: new Map(),
    };
    this.actors.push(actor);
    this.#find(actor);
    return actor;
  }

  /** Its life counts only once its process has answered: until then its failures have a reason. */
  #find(actor: ActorEntry): void {
    const { life } = actor;
    actor.handle.where().then(
      ({ nodeId }) => {
        if (actor.life !== life) return;
        // Processes of a node may answer until they notice that it was killed.
        if (this.#doomedNodes.has(nodeId)) {
          this.#findLater(actor);
          return;
        }
        actor.nodeId = nodeId;
        if (life.isOver) actor.life = { isOver: false };
      },
      () => {
        if (!this.actors.includes(actor) || actor.life !== life || !life.isOver) return;
        if (actor.mayRestart) this.#findLater(actor);
        else this.dropActor(actor);
      },
    );
  }

  #findLater(actor: ActorEntry): void {
    setTimeout(() => this.#find(actor), FIND_PAUSE_MS).unref();
  }

  dropActor(actor: ActorEntry): void {
    const index = this.actors.indexOf(actor);
    if (index >= 0) this.actors.splice(index, 1);
  }

  /** Its process is about to be killed. */
  lifeEnds(actor: ActorEntry): void {
    actor.life.isOver = true;
    actor.nodeId = undefined;
    actor.held.clear();
  }

  /** Its process was killed. */
  lifeEnded(actor: ActorEntry): void {
    if (actor.mayRestart) this.#find(actor);
    else this.dropActor(actor);
  }

  /** A node is about to be killed; the result tells that it was. */
  nodeDies(nodeId: string): () => void {
    this.world.nodeDeaths += 1;
    this.#doomedNodes.add(nodeId);
    const hit = this.actors.filter(
      (actor) => actor.nodeId === undefined || actor.nodeId === nodeId,
    );
    for (const actor of hit) this.lifeEnds(actor);
    return () => {
      this.world.nodeDeaths += 1;
      for (const actor of hit) this.lifeEnded(actor);
    };
  }

  /**
   * Does it, and judges how it ends. Undefined: it failed, for a reason that is known or was noted as a violation.
   * The entries are in use until then.
   */
  async attempt<T>(
    what: string,
    { lives = [], entries = [], fates = [] }: Concerned,
    work: () => PromiseLike<T>,
  ): Promise<{ value: T } | undefined> {
    const { nodeDeaths } = this.world;
    const all = [...fates, ...entries.map(({ fate }) => fate)];
    use(all, 1);
    try {
      return { value: await this.#bounded(what, work()) };
    } catch (error) {
      const name = (error as Error).name;
      if (this.world.explains(error, { lives, fates: all, nodeDeaths }))
        this.count('explained', `${what}: ${name}`);
      else this.violation(`${what} failed without a reason: ${String(error)}\n${causesOf(error)}`);
      return undefined;
    } finally {
      use(all, -1);
    }
  }

  async expectTrue(
    what: string,
    concerned: Concerned,
    work: () => PromiseLike<boolean | undefined>,
  ): Promise<void> {
    const result = await this.attempt(what, concerned, work);
    if (result !== undefined && result.value !== true)
      this.violation(`${what}: the value is not what was put (${String(result.value)})`);
  }

  async #bounded<T>(what: string, work: PromiseLike<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const hang = new Promise<'hang'>((resolve) => {
      timer = setTimeout(() => resolve('hang'), HANG_MS);
    });
    const first = await Promise.race([Promise.resolve(work), hang]).finally(() =>
      clearTimeout(timer),
    );
    if (first !== 'hang') return first as T;
    const isRef = 'id' in work;
    const why = isRef ? await explain(work as unknown as ObjectRef<T>) : 'no ref';
    throw new Error(`${what} hangs: ${JSON.stringify(why)}`);
  }

  /** Ends the play, lets go of everything, and tells what is left all the same. */
  async rest(core: CoreProcess): Promise<PlayerReport> {
    this.#isPlaying = false;
    await Promise.all(this.#strands);
    this.#strands = [];
    this.entries.length = 0;
    while (this.views.length > 0) this.dropView();
    const actors = [...this.actors];
    for (const actor of actors) {
      actor.held.clear();
      const { life } = actor;
      const dropped = await this.attempt('dropAll', { lives: [life] }, () =>
        actor.handle.dropAll(),
      );
      if (dropped === undefined && !actor.mayRestart) this.dropActor(actor);
    }
    await this.#expectNothing('the driver', () => remainsAfterCollection(core));
    await Promise.all(
      this.actors.map((actor) =>
        this.#expectNothing(`an actor on ${actor.nodeId}`, async () => {
          const result = await this.attempt('remains', { lives: [actor.life] }, () =>
            actor.handle.remains(),
          );
          return result?.value;
        }),
      ),
    );
    const report = this.#report;
    this.#report = { operations: {}, explained: {}, violations: [] };
    return report;
  }

  async #expectNothing(who: string, ask: () => Promise<Remains | undefined>): Promise<void> {
    const deadline = performance.now() + REST_MS;
    let remains = await ask();
    while (remains !== undefined && !isNothing(remains)) {
      if (performance.now() > deadline) {
        this.violation(`${who} still holds ${JSON.stringify(remains)}`);
        return;
      }
      await delay(REST_POLL_MS);
      remains = await ask();
    }
  }
}

function causesOf(error: unknown): string {
  const lines: string[] = [];
  for (let next = error; next instanceof Error; next = next.cause)
    lines.push(next.stack ?? String(next));
  return lines.join('\ncaused by ');
}
