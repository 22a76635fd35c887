import { hostContext } from '@manta/runtime/actor/host-context';
import { collectGarbage } from '@manta/runtime/core/garbage';
import {
  type ActorHandle,
  defineActor,
  defineTask,
  get,
  type ObjectRef,
  put,
  runtimeContext,
} from '@manta/sdk';
import { type Content, isValueOf, valueOf } from './contents.ts';
import { type Remains, remainsAfterCollection } from './remains.ts';

/** A ref inside a value, so that it is passed on and not read. */
export interface Box {
  readonly ref: ObjectRef<unknown>;
}

async function isNestOf(boxes: readonly Box[], contents: readonly Content[]): Promise<boolean> {
  const values = await get(boxes.map(({ ref }) => ref));
  return contents.every((content, index) => isValueOf(values[index], content));
}

/** Does with objects all that an actor can. */
class KeeperActor {
  private held = new Map<string, ObjectRef<unknown>>();
  private views: [unknown, Content][] = [];

  where(): { pid: number; nodeId: string } {
    return { pid: process.pid, nodeId: runtimeContext().nodeId };
  }

  make(content: Content): unknown {
    return valueOf(content);
  }

  *items(contents: readonly Content[]): Generator<unknown> {
    for (const content of contents) yield valueOf(content);
  }

  check(value: unknown, content: Content): boolean {
    return isValueOf(value, content);
  }

  checkNest(boxes: readonly Box[], contents: readonly Content[]): Promise<boolean> {
    return isNestOf(boxes, contents);
  }

  /** This process owns the object. */
  putHere(content: Content): Box {
    return { ref: put(valueOf(content)) };
  }

  hold(key: string, { ref }: Box): void {
    this.held.set(key, ref);
  }

  /** Undefined: an earlier life of this actor held it. */
  async checkHeld(key: string, content: Content): Promise<boolean | undefined> {
    const ref = this.held.get(key);
    return ref === undefined ? undefined : isValueOf(await ref, content);
  }

  giveHeld(key: string): Box | undefined {
    const ref = this.held.get(key);
    return ref === undefined ? undefined : { ref };
  }

  /** False: an earlier life of this actor held it. */
  async passOn(key: string, to: ActorHandle<KeeperActor>): Promise<boolean> {
    const ref = this.held.get(key);
    if (ref === undefined) return false;
    await to.hold(key, { ref });
    return true;
  }

  dropHeld(key: string): void {
    this.held.delete(key);
  }

  /** Keeps the value itself, which must stay as it is. */
  keepValue(value: unknown, content: Content): void {
    this.views.push([value, content]);
  }

  dropValues(): boolean {
    const views = this.views;
    this.views = [];
    return views.every(([value, content]) => isValueOf(value, content));
  }

  /** Handles of others are collected, too: an actor that nobody else has would live on with what it holds. */
  async dropAll(): Promise<void> {
    this.held.clear();
    this.views = [];
    await collectGarbage();
  }

  async remains(): Promise<Remains | undefined> {
    const core = hostContext()?.core;
    return core && remainsAfterCollection(core);
  }
}
/** Two that pass on to each other at the same time would otherwise wait for each other without end. */
const HOLDS_AT_ONCE = 8;
export const Keeper = defineActor(import.meta, KeeperActor, {
  cpus: 0,
  concurrencyGroups: { hold: HOLDS_AT_ONCE },
  concurrencyGroupOf: { hold: 'hold' },
});
export type KeeperHandle = ActorHandle<KeeperActor>;

export const produce = defineTask(import.meta, function produce(content: Content): unknown {
  return valueOf(content);
});

export const check = defineTask(
  import.meta,
  function check(value: unknown, content: Content): boolean {
    return isValueOf(value, content);
  },
);

/** Makes one value of another, which must be right. */
export const transform = defineTask(
  import.meta,
  function transform(value: unknown, from: Content, to: Content): unknown {
    if (!isValueOf(value, from)) throw new RangeError('the argument is another value');
    return valueOf(to);
  },
);

export const checkNest = defineTask(
  import.meta,
  function checkNest(boxes: readonly Box[], contents: readonly Content[]): Promise<boolean> {
    return isNestOf(boxes, contents);
  },
);

/** A task of tasks; its result holds their refs. */
export const family = defineTask(
  import.meta,
  async function family(contents: readonly Content[]): Promise<Box[]> {
    const boxes = contents.map((content) => ({ ref: produce(content) }));
    if (!(await isNestOf(boxes, contents))) throw new RangeError('a child made another value');
    return boxes;
  },
);

export const stream = defineTask(
  import.meta,
  function* stream(contents: readonly Content[]): Generator<unknown> {
    for (const content of contents) yield valueOf(content);
  },
);

/** Takes its worker with it. */
export const crash = defineTask(import.meta, function crash(): void {
  process.kill(process.pid, 'SIGKILL');
});
