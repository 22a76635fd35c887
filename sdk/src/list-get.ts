import { GetTimeoutError } from '@manta/runtime/errors/errors';
import { REF_STATE, type AnyObjectRef, type RefWaiter } from '@manta/runtime/objects/object-ref';
import { isElsewhere } from '@manta/runtime/objects/stored-value';
import { ActorCall } from '@manta/runtime/rpc/actor-call';
import { TaskCall } from '@manta/runtime/tasks/task-call';
import type { TaskWaits } from '@manta/runtime/tasks/task-waits';

/** The process whose refs they are. */
export interface WaitingCore {
  readonly waits: TaskWaits;
  callStarted(): void;
  callFinished(): void;
}

/**
 * The values of a list of refs, in its order.
 * @throws the error of the first ref that fails; GetTimeoutError after `timeoutMs`.
 */
export function valuesOf(
  core: WaitingCore,
  refs: readonly AnyObjectRef[],
  timeoutMs: number | undefined,
): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    new ListGet(core, refs, resolve, reject).start(timeoutMs);
  });
}

/**
 * One get() of a list. Values are read in order as they come, and large ones are brought here then: little is left to do
 * after the last one has come. It waits itself for all of them, so that a ref costs it nothing.
 */
class ListGet implements RefWaiter {
  readonly #core: WaitingCore;
  readonly #refs: readonly AnyObjectRef[];
  readonly #resolve: (values: unknown[]) => void;
  readonly #reject: (error: Error) => void;
  readonly #values: unknown[] = [];
  /** Refs whose values are not made yet. */
  #unmade: number;
  /** Up to here values have been read, or are on their way. */
  #position = 0;
  #onTheirWay = 0;
  #isOver = false;
  readonly #wait: ReturnType<TaskWaits['begin']>;
  #cancelTimer: (() => void) | undefined;

  constructor(
    core: WaitingCore,
    refs: readonly AnyObjectRef[],
    resolve: (values: unknown[]) => void,
    reject: (error: Error) => void,
  ) {
    this.#core = core;
    this.#refs = refs;
    this.#unmade = refs.length;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#wait = core.waits.begin();
    core.callStarted();
  }

  start(timeoutMs: number | undefined): void {
    const refs = this.#refs;
    for (let index = 0; index < refs.length && !this.#isOver; index += 1)
      (refs[index] as AnyObjectRef).addWaiter(this);
    if (timeoutMs === undefined || this.#isOver) return;
    const timer = setTimeout(
      () => this.#fail(timeoutError(refs, this.#unmade, timeoutMs)),
      timeoutMs,
    );
    this.#cancelTimer = () => clearTimeout(timer);
  }

  settled(ref: AnyObjectRef): void {
    if (this.#isOver) return;
    if (ref.state === REF_STATE.failed) {
      this.#fail(ref.content);
      return;
    }
    this.#unmade -= 1;
    this.#readOn();
  }

  #readOn(): void {
    const refs = this.#refs;
    while (this.#position < refs.length && !this.#isOver) {
      const ref = refs[this.#position] as AnyObjectRef;
      // One that was made and lost again meanwhile is waited for anew, once nothing else is.
      if (ref.state === REF_STATE.pending && this.#unmade > 0) return;
      this.#read(ref, this.#position);
      this.#position += 1;
    }
    this.#endWhenRead();
  }

  #read(ref: AnyObjectRef, index: number): void {
    if (ref.isHere) {
      try {
        this.#values[index] = ref.value();
      } catch (error) {
        this.#fail(error);
      }
      return;
    }
    this.#onTheirWay += 1;
    ref.deliver({
      resolve: (value) => {
        this.#values[index] = value;
        this.#onTheirWay -= 1;
        this.#endWhenRead();
      },
      reject: (error) => this.#fail(error),
    });
  }

  #endWhenRead(): void {
    if (this.#isOver || this.#position < this.#refs.length || this.#onTheirWay > 0) return;
    this.#end();
    this.#resolve(this.#values);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    for (const ref of this.#refs) ref.removeWaiter(this);
    this.#reject(error as Error);
  }

  #end(): void {
    this.#isOver = true;
    this.#cancelTimer?.();
    this.#core.callFinished();
    this.#core.waits.end(this.#wait);
  }
}

function timeoutError(
  refs: readonly AnyObjectRef[],
  unmade: number,
  timeoutMs: number,
): GetTimeoutError {
  if (unmade === 0) {
    const coming = refs.filter(({ content }) => isElsewhere(content)).length;
    return new GetTimeoutError(
      `${coming} of ${refs.length} values are made, but not on this node yet after ${timeoutMs} ms.`,
    );
  }
  const pending = refs.find((ref) => ref.state === REF_STATE.pending);
  const example = pending === undefined ? '' : ` (the first: ${described(pending)})`;
  return new GetTimeoutError(
    `${unmade} of ${refs.length} values are not there after ${timeoutMs} ms${example}. Ask explain(ref) what it waits for.`,
  );
}

function described(ref: AnyObjectRef): string {
  if (ref instanceof TaskCall) return `task ${ref.task.name}`;
  if (ref instanceof ActorCall) return `a call of ${ref.caller.className}.${ref.method.name}`;
  return `object ${ref.id}`;
}
