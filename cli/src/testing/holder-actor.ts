import { defineActor, defineTask, type ObjectRef } from '@manta/sdk';

/** Keeps refs, and calls open, until it is told to let go. */
class Holder {
  private held: ObjectRef<unknown>[] = [];
  private release: (() => void) | undefined;

  hold(box: { ref: ObjectRef<unknown> }): number {
    this.held.push(box.ref);
    return process.pid;
  }

  drop(): void {
    for (const ref of this.held.splice(0)) ref[Symbol.dispose]();
  }

  make(sizeBytes: number): Uint8Array {
    return new Uint8Array(sizeBytes);
  }

  block(): Promise<number> {
    return new Promise((resolve) => {
      this.release = () => resolve(1);
    });
  }

  go(): void {
    this.release?.();
  }

  take(value: number): number {
    return value;
  }
}

export const HolderActor = defineActor(import.meta, Holder, { maxConcurrency: 4 });

export const plusOne = defineTask(import.meta, function plusOne(value: number): number {
  return value + 1;
});
