import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { isObjectRef, REF_STATE, type AnyObjectRef } from '@manta/runtime/objects/object-ref';
import { isElsewhere } from '@manta/runtime/objects/stored-value';
import { checkTimeout } from '@manta/runtime/time/timeout';
import { coreOf, nameOf } from './objects.ts';
import { checkOptionNames } from './option-names.ts';
import type { ObjectRef } from './types.ts';

export interface WaitOptions {
  /** Between 1 (default) and the number of refs. */
  numReturns?: number;
  timeoutMs?: number;
  /** True (default): ready is what is on this node; false: what is ready anywhere. */
  fetchLocal?: boolean;
}

const OPTIONS: readonly (keyof WaitOptions)[] = ['numReturns', 'timeoutMs', 'fetchLocal'];

/** A value that is taken away again so often as soon as it has come counts as one that cannot be brought. */
const BRING_ATTEMPTS = 10;

/** Numbers the calls of wait(): a ref that has seen this one already was given twice. */
let waits = 0;

/**
 * Splits refs into at most `numReturns` (default 1) that are ready and the rest, in their order. A failed ref counts
 * as ready. Resolves when so many are ready, or after `timeoutMs`.
 * @throws InvalidArgumentError for duplicates, what is no list of refs, or a numReturns that cannot be reached.
 */
export async function wait<T>(
  refs: readonly ObjectRef<T>[],
  options: WaitOptions = {},
): Promise<{ ready: ObjectRef<T>[]; pending: ObjectRef<T>[] }> {
  checkOptionNames(options, OPTIONS, 'wait()');
  if (!Array.isArray(refs))
    throw new InvalidArgumentError(`wait() takes a list of refs; got ${nameOf(refs)}.`);
  if (refs.length === 0) return { ready: [], pending: [] };
  checkTimeout(options.timeoutMs);
  const numReturns = options.numReturns ?? 1;
  if (!Number.isInteger(numReturns) || numReturns < 1 || numReturns > refs.length) {
    throw new InvalidArgumentError(
      `numReturns must be between 1 and the number of refs (${refs.length}); got ${numReturns}.`,
    );
  }
  const fetchLocal = options.fetchLocal ?? true;
  const list = refs as readonly unknown[] as readonly AnyObjectRef[];
  if (countReady(list, fetchLocal) >= numReturns)
    return split(refs, numReturns, (ref) => isReady(ref, fetchLocal));
  const { timeoutMs } = options;
  const unreadable = await untilReady(list, { numReturns, fetchLocal, timeoutMs });
  return split(refs, numReturns, (ref) => isReady(ref, fetchLocal) || unreadable.has(ref));
}

function isReady(ref: AnyObjectRef, fetchLocal: boolean): boolean {
  return ref.state !== REF_STATE.pending && !(fetchLocal && isElsewhere(ref.content));
}

/** @throws InvalidArgumentError for duplicates and what is no ref. */
function countReady(refs: readonly AnyObjectRef[], fetchLocal: boolean): number {
  waits += 1;
  let ready = 0;
  for (let index = 0; index < refs.length; index += 1) {
    const ref = refs[index];
    if (!isObjectRef(ref))
      throw new InvalidArgumentError(`wait() takes refs; item ${index} is ${nameOf(ref)}.`);
    if (ref.waitNumber === waits)
      throw new InvalidArgumentError('wait() was given the same ref twice.');
    ref.waitNumber = waits;
    if (isReady(ref, fetchLocal)) ready += 1;
  }
  return ready;
}

/** The result: those that cannot be brought to this node. They count as ready; reading them says why. */
function untilReady(
  refs: readonly AnyObjectRef[],
  options: { numReturns: number; fetchLocal: boolean; timeoutMs: number | undefined },
): Promise<Set<AnyObjectRef>> {
  const { numReturns, fetchLocal, timeoutMs } = options;
  return new Promise((resolve) => {
    const unreadable = new Set<AnyObjectRef>();
    const core = coreOf(refs);
    let missing = numReturns;
    let isOver = false;
    let cancelTimer: (() => void) | undefined;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      cancelTimer?.();
      for (const ref of refs) ref.removeWaiter(waiter);
      core.callFinished();
      core.waits.end(wait);
      resolve(unreadable);
    };
    const count = (): void => {
      missing -= 1;
      if (missing === 0) end();
    };
    const waiter = {
      settled(ref: AnyObjectRef): void {
        if (isOver) return;
        if (isReady(ref, fetchLocal)) {
          count();
        } else if (ref.state === REF_STATE.pending) {
          ref.addWaiter(waiter);
        } else {
          bring(ref, BRING_ATTEMPTS);
        }
      },
    };
    const bring = (ref: AnyObjectRef, attempts: number): void => {
      const giveUp = (): void => {
        unreadable.add(ref);
        count();
      };
      ref.runtime.bringLocal(ref).then(() => {
        const isThere = ref.state === REF_STATE.pending || isReady(ref, fetchLocal);
        if (isThere || isOver) waiter.settled(ref);
        else if (attempts === 1) giveUp();
        else bring(ref, attempts - 1);
      }, giveUp);
    };
    const wait = core.waits.begin();
    core.callStarted();
    for (let index = 0; index < refs.length && !isOver; index += 1)
      (refs[index] as AnyObjectRef).addWaiter(waiter);
    if (timeoutMs !== undefined && !isOver) {
      const timer = setTimeout(end, timeoutMs);
      cancelTimer = () => clearTimeout(timer);
    }
  });
}

function split<T>(
  refs: readonly ObjectRef<T>[],
  numReturns: number,
  counts: (ref: AnyObjectRef) => boolean,
): { ready: ObjectRef<T>[]; pending: ObjectRef<T>[] } {
  const ready: ObjectRef<T>[] = [];
  const pending: ObjectRef<T>[] = [];
  for (const ref of refs) {
    const isIt = ready.length < numReturns && counts(ref as unknown as AnyObjectRef);
    (isIt ? ready : pending).push(ref);
  }
  return { ready, pending };
}
