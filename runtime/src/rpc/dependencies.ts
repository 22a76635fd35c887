import type { AnyObjectRef } from '../objects/object-ref.ts';

/**
 * Calls back when none of the refs is pending any more. What ends the call before that (its `unlisten`) ends the
 * waiting too, so that refs nobody settles do not gather calls that are over.
 */
export function holdUntilSettled(
  call: { unlisten: (() => void) | undefined },
  refs: readonly AnyObjectRef[],
  onSettled: () => void,
): void {
  const { unlisten } = call;
  let missing = refs.length;
  const waiter = {
    settled: (): void => {
      missing -= 1;
      if (missing > 0) return;
      call.unlisten = unlisten;
      onSettled();
    },
  };
  call.unlisten = () => {
    unlisten?.();
    for (const ref of refs) ref.removeWaiter(waiter);
  };
  for (const ref of refs) ref.addWaiter(waiter);
}
