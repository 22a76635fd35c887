/** Values by key, for as long as somebody else holds them. */
export class WeakTable<V extends object> {
  readonly #entries = new Map<string, WeakRef<V>>();
  readonly #collected = new FinalizationRegistry<string>((key) => {
    // The key may have been given to another one meanwhile.
    if (this.#entries.get(key)?.deref() === undefined) this.#entries.delete(key);
  });

  /** Also those that are collected and whose finalizers have not run. */
  get size(): number {
    return this.#entries.size;
  }

  getOrMake(key: string, make: () => V): V {
    const known = this.#entries.get(key)?.deref();
    if (known !== undefined) return known;
    const made = make();
    this.#entries.set(key, new WeakRef(made));
    this.#collected.register(made, key);
    return made;
  }
}
