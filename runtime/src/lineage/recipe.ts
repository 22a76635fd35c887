import type { AnyObjectRef } from '../objects/object-ref.ts';
import type { Payload, Primitive } from '../objects/payload.ts';
import type { Transferable } from '../serialization/transferable.ts';

/** A task or an actor call that runs once more, and the ref of what it makes. */
export interface Attempt extends AnyObjectRef {
  readonly retriesLeft: number;
  /** The items of a generator. */
  refs(): AsyncIterable<AnyObjectRef>;
}

/** What a task or an actor call leaves behind, so that it can run again. */
export interface Maker {
  /** In words: `task resize`, `Resizer.run of actor a_…`. */
  readonly name: string;
  /** What allows it: the option's name. */
  readonly option: 'maxRetries' | 'maxTaskRetries';
  /** Runs that may follow the first one, for whatever reason; -1 without end. */
  readonly maxRetries: number;
  /** `pins`: refs and handles inside the values, held until it is over. */
  again(values: unknown[], pins: Transferable[], retriesLeft: number): Attempt;
}

/**
 * An argument as lineage keeps it. What can be made again itself is kept as its recipe, not as its value; put objects,
 * and values inside the call, are kept (Ray pins the same).
 */
export type RecipeArgument = Primitive | Payload | AnyObjectRef | ValueRecipe;

/** How one task or call is run again: shared by all items of a generator, and by all who need one of its values. */
export class CallRecipe {
  readonly maker: Maker;
  /** Undefined: dropped, because the lineage of the process took too much memory. */
  args: readonly RecipeArgument[] | undefined;
  retriesLeft: number;
  /** Runs so far. */
  attempts = 1;
  /** Items that are to be made again by the next run. */
  wanted = new Map<number, ValueRecipe>();

  constructor(maker: Maker, args: readonly RecipeArgument[] | undefined, retriesLeft: number) {
    this.maker = maker;
    this.args = args;
    this.retriesLeft = retriesLeft;
  }
}

/** How one value can be made again. A stored value holds its recipe; so do the recipes of what was made from it. */
export class ValueRecipe {
  readonly call: CallRecipe;
  /** Index of the item of a generator; undefined: the result. */
  readonly item: number | undefined;
  /** The ref that stands for the value, as long as somebody holds it. */
  place: WeakRef<AnyObjectRef> | undefined = undefined;
  /** The user dropped the value on purpose: it is not made again, not even for others. */
  isFreed = false;

  constructor(call: CallRecipe, item: number | undefined) {
    this.call = call;
    this.item = item;
  }
}
