/** Those who wait for something to become true of an object that says when it has changed. */
export class Watchers {
  #checks: Set<() => void> | undefined;

  changed(): void {
    if (this.#checks !== undefined) for (const check of this.#checks) check();
  }

  /** Calls back once, as soon as the condition holds; never within this call. The result stops the wait. */
  once(condition: () => boolean, callback: () => void): () => void {
    const checks = (this.#checks ??= new Set());
    const check = (): void => {
      if (!checks.has(check) || !condition()) return;
      checks.delete(check);
      callback();
    };
    checks.add(check);
    queueMicrotask(check);
    return () => void checks.delete(check);
  }
}
