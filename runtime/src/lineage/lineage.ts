import { ArgumentRef } from '../core/owned-objects.ts';
import { ObjectLostError, type MantaError } from '../errors/errors.ts';
import {
  isObjectRef,
  ObjectRef,
  REF_STATE,
  type AnyObjectRef,
  type Content,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import { Payload } from '../objects/payload.ts';
import { StoredValue } from '../objects/stored-value.ts';
import type { Transferable } from '../serialization/transferable.ts';
import {
  attemptError,
  droppedError,
  freedArgumentError,
  tooFewItemsError,
  usedUpError,
} from './lineage-errors.ts';
import { LineageTable } from './lineage-table.ts';
import {
  CallRecipe,
  ValueRecipe,
  type Attempt,
  type Maker,
  type RecipeArgument,
} from './recipe.ts';

interface LineageCore {
  readonly runtime: RefOwnerRuntime;
  /** The ref goes into a value: it is pinned until the call that carries it is over. */
  exportRef(ref: AnyObjectRef): unknown;
  readonly owned: { drop(ref: AnyObjectRef): void };
  readonly values: { drop(stored: StoredValue): void };
}

/** A task or an actor call that has made a stored value. */
export interface MakingCall {
  readonly retriesLeft: number;
  /** Its prepared arguments; undefined once they are dropped. */
  readonly values: readonly unknown[] | undefined;
  maker(): Maker;
}

/** A value that is being made again. */
interface Remake {
  readonly recipe: ValueRecipe;
  /** Who gets it; held, because somebody may wait for it. */
  readonly ref: AnyObjectRef;
  /** Why the value is gone. */
  readonly reason: string;
  attempt: Attempt | undefined;
}

/** How a ref is being made again, for `explain`. */
interface RemakeDescription {
  attempt: Attempt | undefined;
  text: string;
}

/** Ray: max_lineage_bytes. */
const LIMIT_BYTES = 2 ** 30;
/** What a recipe takes beside its arguments. */
const RECIPE_BYTES = 1_024;

/** The limit that the environment variable MANTA_LINEAGE_BYTES sets; default 1 GiB. */
export function lineageLimitBytes(environment: NodeJS.ProcessEnv): number {
  const bytes = Number(environment['MANTA_LINEAGE_BYTES'] || LIMIT_BYTES);
  return bytes >= 0 ? bytes : LIMIT_BYTES;
}

/**
 * Makes values again whose last copy is lost: results, and items of generators, of tasks with maxRetries and of actor
 * calls with maxTaskRetries. Recipes live as long as the values that were made by them, or from what they made.
 *
 *            1 last copy lost           2 its arguments are there          4 result
 *     ready ────────────────▶ pending ───────────────────────▶ attempt ───────────────▶ ready
 *       │                        │ 3 an argument is lost, too:    │
 *       │                        └── that is made first           └─ 5 failed ────────▶ failed
 *       └─ no recipe, no retry left, recipe dropped: failed
 *
 * A retry is spent in 2, so that every chain of losses ends. Recipes only lead to what was there before them: no cycles.
 */
export class Lineage {
  readonly #core: LineageCore;
  readonly #table: LineageTable;
  readonly #byNumber = new Map<number, WeakRef<CallRecipe>>();
  #nextNumber = 0;
  readonly #collected = new FinalizationRegistry<number>((number) => {
    this.#table.remove(number);
    this.#byNumber.delete(number);
  });
  readonly #recipes = new WeakMap<MakingCall, CallRecipe>();
  /** Attempts of ours: their values have a recipe already. */
  readonly #attempts = new WeakSet<object>();
  readonly #remakes = new Map<AnyObjectRef, Remake>();
  readonly #refs = new Map<ValueRecipe, AnyObjectRef>();
  #starting: Remake[] = [];

  constructor(core: LineageCore, limitBytes: number) {
    this.#core = core;
    this.#table = new LineageTable(limitBytes);
  }

  /** Bytes that the recipes take, and how many there are. */
  statistics(): { bytes: number; recipes: number; remakes: number } {
    return { bytes: this.#table.bytes, recipes: this.#table.size, remakes: this.#remakes.size };
  }

  // ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────
  /** The call has made a value, or an item, that may be lost. Before its arguments are let go. */
  keep(stored: StoredValue, call: MakingCall, item?: number): void {
    if (this.#attempts.has(call)) return;
    let recipe = this.#recipes.get(call);
    if (recipe === undefined) {
      const maker = call.maker();
      if (maker.maxRetries === 0) return;
      recipe = new CallRecipe(maker, call.values?.map(argumentOf), call.retriesLeft);
      this.#recipes.set(call, recipe);
      this.#count(recipe);
    }
    stored.recipe = new ValueRecipe(recipe, item);
  }

  #count(recipe: CallRecipe): void {
    const number = this.#nextNumber++;
    this.#byNumber.set(number, new WeakRef(recipe));
    this.#collected.register(recipe, number);
    for (const dropped of this.#table.add(number, bytesOf(recipe))) {
      const oldest = this.#byNumber.get(dropped)?.deref();
      this.#byNumber.delete(dropped);
      if (oldest !== undefined) oldest.args = undefined;
    }
  }

  /** The ref stands for that value from now on. */
  placed(ref: AnyObjectRef, { recipe }: StoredValue): void {
    if (recipe !== undefined) recipe.place = new WeakRef(ref);
  }

  /** The user has freed the value of this ref. */
  freed(ref: AnyObjectRef): void {
    const recipe = recipeOf(ref) ?? this.#remakes.get(ref)?.recipe;
    if (recipe !== undefined) recipe.isFreed = true;
  }

  // ── loss ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** The value of a ref of ours is gone. Undefined: it is made again, and the ref gets it; else why not. */
  lost(ref: AnyObjectRef, reason: string): MantaError | undefined {
    const recipe = recipeOf(ref);
    if (recipe === undefined)
      return new ObjectLostError(`Every copy of object ${ref.id} is lost: ${reason}.`);
    return this.#begin(recipe, ref, reason);
  }

  #begin(recipe: ValueRecipe, ref: AnyObjectRef, reason: string): MantaError | undefined {
    const { call } = recipe;
    if (call.retriesLeft === 0) return usedUpError(ref.id, call, reason);
    if (call.args === undefined) return droppedError(ref.id, call, reason, this.#table.limitBytes);
    const remake: Remake = { recipe, ref, reason, attempt: undefined };
    this.#remakes.set(ref, remake);
    this.#refs.set(recipe, ref);
    this.#starting.push(remake);
    // All that was lost at once is known before the first of it is made.
    if (this.#starting.length === 1) process.nextTick(() => this.#startAll());
    return undefined;
  }

  /** A loop, not recursion: what an attempt needs first is added to the list while it is gone through. */
  #startAll(): void {
    for (const remake of this.#starting) this.#start(remake);
    this.#starting = [];
  }

  #start(remake: Remake): void {
    const { recipe, reason } = remake;
    const { call, item } = recipe;
    if (item !== undefined) {
      call.wanted.set(item, recipe);
      if (call.wanted.size === 1) queueMicrotask(() => void this.#runGenerator(call, reason));
      return;
    }
    const attempt = this.#attempt(call);
    if (attempt === undefined) {
      this.#failed(recipe, usedUpError(remake.ref.id, call, reason));
      return;
    }
    remake.attempt = attempt;
    attempt.addWaiter({
      settled: () => {
        call.retriesLeft = attempt.retriesLeft;
        if (attempt.state === REF_STATE.ready) this.#made(recipe, attempt.content as Content);
        else this.#failed(recipe, attemptError(call, reason, attempt.content));
      },
    });
  }

  /** Undefined: no retry is left. */
  #attempt(call: CallRecipe): Attempt | undefined {
    if (call.retriesLeft === 0) return undefined;
    if (call.retriesLeft > 0) call.retriesLeft -= 1;
    call.attempts += 1;
    const values = (call.args ?? []).map((arg) =>
      arg instanceof ValueRecipe ? this.#refOf(arg) : arg,
    );
    const pins: Transferable[] = [];
    for (const value of values) if (value instanceof Payload) pins.push(...value.transferables);
    for (const pin of pins) if (isObjectRef(pin)) this.#core.exportRef(pin);
    const attempt = call.maker.again(values, pins, call.retriesLeft);
    this.#attempts.add(attempt);
    return attempt;
  }

  /** The ref of an argument: that which stands for it now, or a new one for which it is made again. */
  #refOf(recipe: ValueRecipe): AnyObjectRef {
    const known = this.#refs.get(recipe) ?? recipe.place?.deref();
    const isUsable = known !== undefined && known.state !== REF_STATE.failed;
    if (isUsable && !recipe.isFreed) return known;
    const ref: AnyObjectRef = new ObjectRef<unknown>(this.#core.runtime);
    const refusal = recipe.isFreed
      ? freedArgumentError(recipe.call)
      : this.#begin(recipe, ref, 'its value was let go when nobody needed it');
    if (refusal !== undefined) ref.reject(refusal);
    return ref;
  }

  #made(recipe: ValueRecipe, content: Content): void {
    const ref = this.#end(recipe);
    if (ref?.state !== REF_STATE.pending) {
      if (content instanceof StoredValue) this.#core.values.drop(content);
      return;
    }
    if (content instanceof StoredValue) content.recipe = recipe;
    ref.resolve(content);
  }

  #failed(recipe: ValueRecipe, error: unknown): void {
    this.#end(recipe)?.reject(error);
  }

  #end(recipe: ValueRecipe): AnyObjectRef | undefined {
    const ref = this.#refs.get(recipe);
    this.#refs.delete(recipe);
    if (ref !== undefined) this.#remakes.delete(ref);
    return ref;
  }

  // ── generators ───────────────────────────────────────────────────────────────────────────────────────────
  /** Runs the generator once for all items that are wanted; those that nobody has lost are dropped. */
  async #runGenerator(call: CallRecipe, reason: string): Promise<void> {
    const { wanted } = call;
    call.wanted = new Map();
    let items = 0;
    let failure: unknown;
    try {
      const attempt = this.#attempt(call);
      if (attempt === undefined) throw usedUpError('of a stream', call, reason);
      for (const recipe of wanted.values()) this.#describe(recipe, attempt);
      for await (const item of attempt.refs()) {
        // A loop over an async iterator does not await what that gives.
        this.#takeItem(wanted, items, item as AnyObjectRef);
        items += 1;
        if (wanted.size === 0) break;
      }
    } catch (error) {
      failure = attemptError(call, reason, error);
    }
    for (const [item, recipe] of wanted)
      this.#failed(recipe, failure ?? tooFewItemsError(call, item, items));
  }

  #describe(recipe: ValueRecipe, attempt: Attempt): void {
    const ref = this.#refs.get(recipe);
    const remake = ref === undefined ? undefined : this.#remakes.get(ref);
    if (remake !== undefined) remake.attempt = attempt;
  }

  #takeItem(wanted: Map<number, ValueRecipe>, index: number, item: AnyObjectRef): void {
    const recipe = wanted.get(index);
    if (recipe === undefined) {
      this.#core.owned.drop(item);
      return;
    }
    wanted.delete(index);
    this.#made(recipe, item.content as Content);
  }

  // ── questions ────────────────────────────────────────────────────────────────────────────────────────────
  /** Undefined: the value of this ref is not being made again. */
  describe(ref: AnyObjectRef): RemakeDescription | undefined {
    const remake = this.#remakes.get(ref);
    if (remake === undefined) return undefined;
    const { attempts, maker } = remake.recipe.call;
    const limit = maker.maxRetries < 0 ? '' : ` of ${maker.maxRetries + 1}`;
    const attempt = maker.maxRetries < 0 ? attempts : maker.maxRetries + 1 - this.#leftOf(remake);
    const text = `It is being made again: attempt ${attempt}${limit}, because ${remake.reason}.`;
    return { attempt: remake.attempt, text };
  }

  #leftOf({ attempt, recipe }: Remake): number {
    return attempt?.retriesLeft ?? recipe.call.retriesLeft - 1;
  }
}

function recipeOf({ content }: AnyObjectRef): ValueRecipe | undefined {
  return content instanceof StoredValue ? content.recipe : undefined;
}

function argumentOf(value: unknown): RecipeArgument {
  if (value instanceof ArgumentRef) value.isKept = true;
  const isOwn = isObjectRef(value) && value.owner === undefined;
  return (isOwn ? recipeOf(value) : undefined) ?? (value as RecipeArgument);
}

function bytesOf({ args = [] }: CallRecipe): number {
  return args.reduce<number>((sum, arg) => sum + argumentBytes(arg), RECIPE_BYTES);
}

/** Of what lineage alone keeps: what the user has put is the user's. */
function argumentBytes(arg: RecipeArgument): number {
  if (typeof arg === 'string') return arg.length;
  if (arg instanceof Payload) return arg.bytes.byteLength;
  if (!(arg instanceof ArgumentRef)) return 0;
  const { content } = arg;
  if (content instanceof StoredValue) return content.blob.sizeBytes;
  return content instanceof Payload ? content.bytes.byteLength : 0;
}
