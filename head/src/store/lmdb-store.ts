import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import { STORE_TABLES, type StateStore, type StoreTable } from './state-store.ts';

/**
 * State in an LMDB file.
 *
 * What `commit` promises: all writes queued in one turn of the event loop go into one LMDB transaction on a thread of
 * LMDB's own, and a write's promise resolves when that transaction is committed: its pages and its meta page are written
 * to the file, hence in the kernel's page cache, which a SIGKILL of this process does not touch. LMDB then syncs to disk
 * in the background (`overlappingSync`); should the *machine* lose power before that, LMDB sees another boot id and
 * goes back to the last transaction that was synced: whole, but maybe some milliseconds old.
 */
class LmdbStore implements StateStore {
  readonly #root: RootDatabase<Buffer, string>;
  readonly #tables: ReadonlyMap<StoreTable, Database<Buffer, string>>;
  /** The newest write: writes commit in order, so with it all before it are lasting. */
  #newest: Promise<boolean> | undefined;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#root = open<Buffer, string>({
      path: join(directory, 'head.lmdb'),
      encoding: 'binary',
      maxDbs: STORE_TABLES.length,
      overlappingSync: true,
    });
    const openTable = (name: StoreTable) =>
      this.#root.openDB<Buffer, string>({ name, encoding: 'binary' });
    this.#tables = new Map(STORE_TABLES.map((name) => [name, openTable(name)]));
  }

  *load(table: StoreTable): Iterable<readonly [string, unknown]> {
    for (const { key, value } of this.#table(table).getRange()) yield [key, decodeRecord(value)];
  }

  put(table: StoreTable, key: string, value: unknown): void {
    this.#newest = this.#table(table).put(key, encodeRecord(value));
  }

  delete(table: StoreTable, key: string): void {
    this.#newest = this.#table(table).remove(key);
  }

  async commit(): Promise<void> {
    await this.#newest;
  }

  async close(): Promise<void> {
    await this.#root.flushed;
    await this.#root.close();
  }

  #table(name: StoreTable): Database<Buffer, string> {
    const table = this.#tables.get(name);
    if (table === undefined) throw new RangeError(`no table ${name}`);
    return table;
  }
}

/** Opens or creates the state in this directory. @throws when the directory cannot be written. */
export function openLmdbStore(directory: string): StateStore {
  return new LmdbStore(directory);
}
