import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdMint, type ProcessId } from '../ids.ts';
import { SharedStore } from '../shared-memory/shared-store.ts';
import { StoreProcess } from './store-process.ts';

const mint = createIdMint((target) => randomFillSync(target));

/** A store in a directory of its own, with what is attached to it, all gone after `close()`. */
export class TestStore {
  readonly directory: string;
  readonly access: 'mapped' | 'copied';
  private readonly parent = mkdtempSync(join(tmpdir(), 'manta-store-'));
  private readonly attached: SharedStore[] = [];
  private readonly processes: StoreProcess[] = [];

  constructor(access: 'mapped' | 'copied', limitBytes: number) {
    this.access = access;
    this.directory = join(this.parent, 'store');
    SharedStore.create(this.directory, { limitBytes });
  }

  attach(processId: ProcessId = mint('process')): SharedStore {
    const store = SharedStore.attach({ directory: this.directory, processId, access: this.access });
    this.attached.push(store);
    return store;
  }

  async startProcess(): Promise<StoreProcess> {
    const started = await StoreProcess.start(this.directory, this.access);
    this.processes.push(started);
    return started;
  }

  async close(): Promise<void> {
    await Promise.all(this.processes.map((started) => started.kill()));
    for (const store of this.attached) store.close();
    rmSync(this.parent, { recursive: true, force: true });
  }
}
