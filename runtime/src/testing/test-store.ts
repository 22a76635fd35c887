import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdMint, type ProcessId } from '../ids.ts';
import { nativeMemory } from '../shared-memory/native-memory.ts';
import { SharedStore } from '../shared-memory/shared-store.ts';
import { StoreProcess } from './store-process.ts';

const mint = createIdMint((target) => randomFillSync(target));

export interface StoreKind {
  access: 'mapped' | 'copied';
  /** See `nativeMemory`. */
  asOn?: 'darwin';
}

export const MAPPED_KINDS: ({ name: string } & StoreKind)[] = [
  { name: 'mapped', access: 'mapped' },
  { name: 'mapped, as on macOS', access: 'mapped', asOn: 'darwin' },
];
export const STORE_KINDS: typeof MAPPED_KINDS = [
  ...MAPPED_KINDS,
  { name: 'copied', access: 'copied' },
];

/** A store in a directory of its own, with what is attached to it, all gone after `close()`. */
export class TestStore {
  readonly directory: string;
  private readonly kind: StoreKind;
  private readonly parent = mkdtempSync(join(tmpdir(), 'manta-store-'));
  private readonly attached: SharedStore[] = [];
  private readonly processes: StoreProcess[] = [];

  constructor(kind: StoreKind, limitBytes: number) {
    this.kind = kind;
    this.directory = join(this.parent, 'store');
    SharedStore.create(this.directory, { limitBytes });
  }

  attach(processId: ProcessId = mint('process')): SharedStore {
    const { access, asOn } = this.kind;
    const { directory } = this;
    const store = SharedStore.attach({ directory, processId, access, memory: nativeMemory(asOn) });
    this.attached.push(store);
    return store;
  }

  async startProcess(): Promise<StoreProcess> {
    const started = await StoreProcess.start(this.directory, this.kind);
    this.processes.push(started);
    return started;
  }

  async close(): Promise<void> {
    await Promise.all(this.processes.map((started) => started.kill()));
    for (const store of this.attached) store.close();
    rmSync(this.parent, { recursive: true, force: true });
  }
}
