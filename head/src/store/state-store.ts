/** What the head keeps, by kind of record. `actor-specs` is apart because it is large and never changes. */
export const STORE_TABLES = ['meta', 'nodes', 'jobs', 'actor-specs', 'actors'] as const;
export type StoreTable = (typeof STORE_TABLES)[number];

/**
 * The head's memory. Values are plain data: numbers, strings, booleans, bytes, arrays and objects; fields that are
 * undefined are left out.
 */
export interface StateStore {
  /** Everything in a table, without an order. Changes that were not committed may or may not be seen. */
  load(table: StoreTable): Iterable<readonly [key: string, value: unknown]>;
  /** Queued until `commit`; the value is encoded at once. */
  put(table: StoreTable, key: string, value: unknown): void;
  delete(table: StoreTable, key: string): void;
  /**
   * Makes everything queued so far lasting, all or nothing: once it resolves, a SIGKILL of this process cannot lose it.
   * Commits resolve in the order of their calls.
   */
  commit(): Promise<void>;
  close(): Promise<void>;
}
