import { decodeRecord, encodeRecord } from './record-codec.ts';
import { STORE_TABLES, type StateStore, type StoreTable } from './state-store.ts';

/**
 * For tests and simulations: outlives a head, not its process. Encodes as the lasting store does, so that what works on
 * one works on the other.
 */
export class MemoryStore implements StateStore {
  readonly #tables = new Map<StoreTable, Map<string, Uint8Array>>();

  constructor() {
    for (const table of STORE_TABLES) this.#tables.set(table, new Map());
  }

  *load(table: StoreTable): Iterable<readonly [string, unknown]> {
    for (const [key, bytes] of this.#table(table)) yield [key, decodeRecord(bytes)];
  }

  put(table: StoreTable, key: string, value: unknown): void {
    this.#table(table).set(key, encodeRecord(value));
  }

  delete(table: StoreTable, key: string): void {
    this.#table(table).delete(key);
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #table(table: StoreTable): Map<string, Uint8Array> {
    const known = this.#tables.get(table);
    if (known !== undefined) return known;
    const created = new Map<string, Uint8Array>();
    this.#tables.set(table, created);
    return created;
  }
}
