import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { randomFillSync } from 'node:crypto';
import { createIdMint, type ProcessId } from '../ids.ts';
import type { SlotAddress } from '../objects/blob.ts';
import type { StoreKind } from './test-store.ts';

const compiled = (path: string): string =>
  JSON.stringify(new URL(`../../dist/${path}`, import.meta.url).href);

const PROGRAM = `
import { nativeMemory } from ${compiled('shared-memory/native-memory.js')};
import { SharedStore } from ${compiled('shared-memory/shared-store.js')};
import { collectGarbage } from ${compiled('core/garbage.js')};
const [directory, processId, access, asOn] = process.argv.slice(1);
const store = SharedStore.attach({ directory, processId, access, memory: nativeMemory(asOn) });
const views = new Map();
const commands = {
  write: (fill, sizeBytes) => store.write([new Uint8Array(sizeBytes).fill(fill)], sizeBytes),
  open(name, slot, sizeBytes) {
    const opened = store.open(slot, sizeBytes);
    if (opened !== undefined) views.set(name, new Uint8Array(opened.bufferOf(0, sizeBytes)));
    return opened !== undefined;
  },
  read: (name) => [...new Set(views.get(name))],
  change: (name, fill) => void views.get(name).fill(fill),
  async letGo(name) {
    views.delete(name);
    await collectGarbage();
    return store.statistics().views;
  },
  release: (slots) => store.release(slots),
  statistics: () => store.statistics(),
};
process.on('message', async ({ command, parameters }) => {
  try {
    process.send({ value: (await commands[command](...parameters)) ?? null });
  } catch (error) {
    process.send({ error: error.stack });
  }
});
process.send({ value: 'attached' });
`;

/** Another real process that is attached to a store. */
export class StoreProcess {
  readonly processId: ProcessId;
  private readonly child: ChildProcess;

  private constructor(processId: ProcessId, child: ChildProcess) {
    this.processId = processId;
    this.child = child;
  }

  static async start(directory: string, kind: StoreKind): Promise<StoreProcess> {
    const { access, asOn } = kind;
    const processId = createIdMint((target) => randomFillSync(target))('process');
    const parameters = ['--input-type=module', '-e', PROGRAM, directory, processId, access];
    if (asOn !== undefined) parameters.push(asOn);
    const child = spawn(process.execPath, parameters, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const started = new StoreProcess(processId, child);
    await started.answer();
    return started;
  }

  write(fill: number, sizeBytes: number): Promise<SlotAddress | null> {
    return this.ask('write', fill, sizeBytes);
  }

  open(name: string, slot: SlotAddress, sizeBytes: number): Promise<boolean> {
    return this.ask('open', name, slot, sizeBytes);
  }

  /** The different bytes in it. */
  read(name: string): Promise<number[]> {
    return this.ask('read', name);
  }

  change(name: string, fill: number): Promise<null> {
    return this.ask('change', name, fill);
  }

  /** How many views are left after garbage was collected. */
  letGo(name: string): Promise<number> {
    return this.ask('letGo', name);
  }

  release(slots: readonly SlotAddress[]): Promise<null> {
    return this.ask('release', slots);
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }

  private async ask<T>(command: string, ...parameters: unknown[]): Promise<T> {
    const answer = this.answer();
    this.child.send({ command, parameters });
    return (await answer) as T;
  }

  private answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error('The process ended before it answered.'));
      this.child.once('exit', ended);
      this.child.once('message', (message: { value?: unknown; error?: string }) => {
        this.child.off('exit', ended);
        if (message.error === undefined) resolve(message.value);
        else reject(new Error(message.error));
      });
    });
  }
}
