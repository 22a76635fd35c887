/** A promise with its resolvers apart, as `Promise.withResolvers` gives on later Node.js versions. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = unassigned;
  let reject: (error: unknown) => void = unassigned;
  const promise = new Promise<T>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise;
    reject = rejectPromise;
  });
  return { promise, resolve, reject };
}

function unassigned(): void {
  throw new Error('A promise runs its executor at once');
}
