import {
  cancel,
  free,
  get,
  kill,
  type ObjectRef,
  type ObjectRefStream,
  put,
  wait,
} from '@manta/sdk';
import { type Content, isValueOf, randomContent, valueOf } from './contents.ts';
import * as tasks from './keeper.ts';
import type { Box } from './keeper.ts';
import { type ActorEntry, type Fate, type Held, type ObjectEntry } from './model.ts';
import type { Player } from './player.ts';

interface Operation {
  readonly name: string;
  readonly weight: number;
  run(player: Player): void | Promise<void>;
}

const contentOf = ({ contents }: ObjectEntry): Content => contents[0] as Content;

function contentsFor({ random }: Player, most: number): Content[] {
  return Array.from({ length: random.between(1, most) }, () => randomContent(random));
}

const boxesOf = (entries: readonly ObjectEntry[]): Box[] => entries.map(({ ref }) => ({ ref }));

/** Reads all of a nest, and of what it holds. */
async function readNest(entry: ObjectEntry): Promise<boolean> {
  const boxes = (await entry.ref) as Box[];
  const values = await get(boxes.map(({ ref }) => ref));
  return entry.contents.every((content, index) => isValueOf(values[index], content));
}

async function read(player: Player): Promise<void> {
  const entry = player.pickEntry();
  if (entry === undefined) return;
  if (entry.isNest) {
    await player.expectTrue('read a nest', { entries: [entry] }, () => readNest(entry));
    return;
  }
  const result = await player.attempt('get', { entries: [entry] }, () => entry.ref);
  if (result === undefined) return;
  const content = contentOf(entry);
  if (!isValueOf(result.value, content))
    player.violation(`get: the value is not what was put: ${JSON.stringify(content)}`);
  else if (player.random.chance(0.2)) player.keepView(result.value, content);
}

function putOne(player: Player): void {
  const content = randomContent(player.random);
  player.add(put(valueOf(content)), [content]);
}

function putNest(player: Player): void {
  const parts = [player.pickEntry(false), player.pickEntry(false)].filter(
    (part) => part !== undefined,
  );
  if (parts.length === 0) return;
  const contents = parts.map(contentOf);
  player.add(put(boxesOf(parts)), contents, { isNest: true, parts: parts.map(({ fate }) => fate) });
}

async function checkInActor(player: Player): Promise<void> {
  const entry = player.pickEntry();
  if (entry === undefined) return;
  const { handle, life } = player.actor();
  await player.expectTrue('actor.check', { entries: [entry], lives: [life] }, () =>
    entry.isNest
      ? handle.checkNest(entry.ref as never, entry.contents)
      : handle.check(entry.ref, contentOf(entry)),
  );
}

function makeInActor(player: Player): void {
  const content = randomContent(player.random);
  const { handle, life } = player.actor();
  player.add(handle.make(content), [content], { lives: [life] });
}

async function putInActor(player: Player): Promise<void> {
  const content = randomContent(player.random);
  const { handle, life } = player.actor();
  const result = await player.attempt('actor.putHere', { lives: [life] }, () =>
    handle.putHere(content),
  );
  if (result !== undefined) player.add(result.value.ref, [content], { lives: [life] });
}

async function holdInActor(player: Player): Promise<void> {
  const entry = player.pickEntry(false);
  if (entry === undefined) return;
  const actor = player.actor();
  const { handle, life } = actor;
  const key = player.newKey();
  const result = await player.attempt('actor.hold', { entries: [entry], lives: [life] }, () =>
    handle.hold(key, { ref: entry.ref }),
  );
  if (result !== undefined && !life.isOver)
    actor.held.set(key, { content: contentOf(entry), fate: entry.fate, life });
}

/** What an actor holds, and whose end would explain that it does not. */
function pickHeld(player: Player): (Held & { actor: ActorEntry; key: string }) | undefined {
  const actor = player.actor();
  const held = player.random.pick([...actor.held]);
  if (held === undefined) return undefined;
  const [key, what] = held;
  return { actor, key, ...what };
}

async function checkHeld(player: Player): Promise<void> {
  const held = pickHeld(player);
  if (held === undefined) return;
  const { actor, key, content, fate, life } = held;
  const result = await player.attempt('actor.checkHeld', { fates: [fate], lives: [life] }, () =>
    actor.handle.checkHeld(key, content),
  );
  if (result === undefined || result.value === true) return;
  if (result.value === false) player.violation('actor.checkHeld: the value is not what was put');
  else if (actor.held.has(key) && !life.isOver)
    player.violation(`actor.checkHeld: ${key} is gone, and its actor was not killed`);
}

async function passOn(player: Player): Promise<void> {
  const held = pickHeld(player);
  if (held === undefined) return;
  const { actor, key, content, fate, life } = held;
  const to = player.random.pick(player.actors.filter((other) => other !== actor));
  if (to === undefined) return;
  const lives = [life, to.life];
  const target = to.life;
  const result = await player.attempt('actor.passOn', { fates: [fate], lives }, () =>
    actor.handle.passOn(key, to.handle),
  );
  if (result?.value === true && !target.isOver) to.held.set(key, { content, fate, life: target });
}

async function readHeld(player: Player): Promise<void> {
  const held = pickHeld(player);
  if (held === undefined) return;
  const { actor, key, content, fate, life } = held;
  const box = await player.attempt('actor.giveHeld', { fates: [fate], lives: [life] }, () =>
    actor.handle.giveHeld(key),
  );
  const ref = box?.value?.ref;
  if (ref === undefined) return;
  await player.expectTrue('get of what an actor gave', { fates: [fate], lives: [life] }, () =>
    ref.then((value) => isValueOf(value, content)),
  );
}

async function dropHeld(player: Player): Promise<void> {
  const held = pickHeld(player);
  if (held === undefined) return;
  const { actor, key, fate, life } = held;
  actor.held.delete(key);
  await player.attempt('actor.dropHeld', { fates: [fate], lives: [life] }, () =>
    actor.handle.dropHeld(key),
  );
}

async function keepValueInActor(player: Player): Promise<void> {
  const { handle, life } = player.actor();
  const entry = player.pickEntry(false);
  if (entry === undefined || player.random.chance(0.4)) {
    await player.expectTrue('actor.dropValues', { lives: [life] }, () => handle.dropValues());
    return;
  }
  await player.attempt('actor.keepValue', { entries: [entry], lives: [life] }, () =>
    handle.keepValue(entry.ref, contentOf(entry)),
  );
}

async function runTasks(player: Player): Promise<void> {
  const { random } = player;
  const kind = random.between(1, 4);
  const content = randomContent(random);
  const entry = player.pickEntry(kind === 4);
  if (kind === 1 || entry === undefined) {
    player.add(tasks.produce(content), [content]);
    return;
  }
  if (kind === 2) {
    const made = tasks.transform(entry.ref, contentOf(entry), content);
    player.add(made, [content], { parts: [entry.fate] });
    return;
  }
  await player.expectTrue('task of a ref', { entries: [entry] }, () =>
    entry.isNest
      ? tasks.checkNest(entry.ref as never, entry.contents)
      : tasks.check(entry.ref, contentOf(entry)),
  );
}

function runFamily(player: Player): void {
  const contents = contentsFor(player, 3);
  // Its children's results are owned by its worker, which ends when there is nothing to do.
  player.add(tasks.family(contents), contents, { isNest: true, isMortal: true });
}

const mortal = ({ world }: Player): Fate => world.fate({ isMortal: true });

async function crashTask(player: Player): Promise<void> {
  await player.attempt('task that crashes', { fates: [mortal(player)] }, () =>
    tasks.crash.options({ maxRetries: 0 })(),
  );
}

async function cancelTask(player: Player): Promise<void> {
  const ref = tasks.produce(randomContent(player.random));
  await cancel(ref, { force: player.random.chance(0.3) });
  await player.attempt('task that was cancelled', { fates: [mortal(player)] }, () => ref);
}

async function readStream(player: Player): Promise<void> {
  const contents = contentsFor(player, 4);
  const isOfActor = player.random.chance(0.5);
  const actor: ActorEntry | undefined = isOfActor ? player.actor() : undefined;
  const items = (actor === undefined
    ? tasks.stream(contents)
    : actor.handle.items(contents)) as unknown as ObjectRefStream<unknown>;
  const lives = actor === undefined ? [] : [actor.life];
  const stopAt = player.random.chance(0.3) ? 0 : contents.length;
  const keepsRefs = player.random.chance(0.4);
  await player.expectTrue('a stream', { lives }, async () => {
    let index = 0;
    for await (const item of items.refs()) {
      // The language's types have it that awaiting goes through to the value.
      const ref = item as ObjectRef<unknown>;
      const content = contents[index] as Content;
      if (keepsRefs) player.add(ref, [content], { lives });
      else if (!isValueOf(await ref, content)) return false;
      index += 1;
      if (index > stopAt) break;
    }
    return true;
  });
}

async function waitForSome(player: Player): Promise<void> {
  const entries = [...new Set([player.pickEntry(), player.pickEntry(), player.pickEntry()])].filter(
    (entry) => entry !== undefined,
  );
  const refs = [...new Set(entries.map(({ ref }) => ref))];
  if (refs.length === 0) return;
  const numReturns = player.random.between(1, refs.length);
  await player.attempt('wait', { entries }, () => wait(refs, { numReturns }));
}

async function freeOne(player: Player): Promise<void> {
  const entry = player.pickEntry();
  if (entry === undefined) return;
  player.forget(entry);
  entry.fate.isFreed = true;
  await free([entry.ref]);
}

function disposeOne(player: Player): void {
  const entry = player.pickEntry();
  if (entry === undefined || entry.fate.uses > 0) return;
  // The same ref may be here twice, when an actor gave it back.
  if (player.entries.some((other) => other !== entry && other.ref === entry.ref)) return;
  player.forget(entry);
  entry.ref[Symbol.dispose]();
}

function dropOne(player: Player): void {
  const entry = player.pickEntry();
  if (entry !== undefined) player.forget(entry);
}

async function killHost(player: Player): Promise<void> {
  const actor = player.actor();
  const result = await player.attempt('actor.where', { lives: [actor.life] }, () =>
    actor.handle.where(),
  );
  if (result === undefined || actor.life.isOver) return;
  player.lifeEnds(actor);
  process.kill(result.value.pid, 'SIGKILL');
  player.lifeEnded(actor);
}

async function killActor(player: Player): Promise<void> {
  const actor = player.actor();
  player.dropActor(actor);
  actor.life.isOver = true;
  if (player.random.chance(0.5)) await kill(actor.handle);
}

export const OPERATIONS: readonly [Operation, ...Operation[]] = [
  { name: 'read', weight: 20, run: read },
  { name: 'put', weight: 14, run: putOne },
  { name: 'put a nest', weight: 5, run: putNest },
  { name: 'check in an actor', weight: 10, run: checkInActor },
  { name: 'make in an actor', weight: 6, run: makeInActor },
  { name: 'put in an actor', weight: 4, run: putInActor },
  { name: 'hold in an actor', weight: 6, run: holdInActor },
  { name: 'check what is held', weight: 5, run: checkHeld },
  { name: 'pass on', weight: 5, run: passOn },
  { name: 'read what is held', weight: 4, run: readHeld },
  { name: 'drop what is held', weight: 4, run: dropHeld },
  { name: 'keep a value in an actor', weight: 4, run: keepValueInActor },
  { name: 'task', weight: 10, run: runTasks },
  { name: 'family of tasks', weight: 2, run: runFamily },
  { name: 'crash a task', weight: 0.3, run: crashTask },
  { name: 'cancel a task', weight: 1, run: cancelTask },
  { name: 'stream', weight: 4, run: readStream },
  { name: 'wait', weight: 4, run: waitForSome },
  { name: 'free', weight: 3, run: freeOne },
  { name: 'dispose', weight: 4, run: disposeOne },
  { name: 'drop', weight: 6, run: dropOne },
  { name: 'kill a host', weight: 0.25, run: killHost },
  { name: 'kill an actor', weight: 0.25, run: killActor },
];
