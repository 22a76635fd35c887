import type { Clock } from './clock.ts';

/** What the promise resolves to; undefined when that takes longer. Its rejection is the caller's. */
export async function within<T>(
  clock: Clock,
  timeoutMs: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  let cancel: () => void = () => undefined;
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(timeoutMs, () => resolve(undefined), { unref: true });
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}
