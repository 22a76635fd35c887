import { type ActorHandle, defineActor, defineTask, get, type ObjectRef, put } from '@manta/sdk';

/** The tasks of `ray microbenchmark` (python/ray/_private/ray_perf.py) and of its single-node envelope. */
const ok = Buffer.from('ok');

export const smallValue = defineTask(import.meta, function smallValue(): Uint8Array {
  return ok;
});

export async function submitAndGet(count: number): Promise<void> {
  await get(Array.from({ length: count }, () => smallValue()));
}

/** Ray's `num_cpus=0` actor that submits tasks. */
class TaskSubmitter {
  smallValueBatch(count: number): Promise<void> {
    return submitAndGet(count);
  }
}
export const Submitter = defineActor(import.meta, TaskSubmitter, { cpus: 0 });
export type SubmitterHandle = ActorHandle<TaskSubmitter>;

export const total = defineTask(import.meta, function total(...numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
});

export const countUp = defineTask(import.meta, function* countUp(count: number): Generator<number> {
  for (let index = 0; index < count; index++) yield index;
});

/** Refs dropped at once, as Ray's reference counting does. */
export const putSmall = defineTask(import.meta, function putSmall(times: number): void {
  for (let index = 0; index < times; index++) put(0)[Symbol.dispose]();
});

export const putLarge = defineTask(
  import.meta,
  function putLarge(times: number, sizeBytes: number): void {
    for (let index = 0; index < times; index++)
      put(new BigInt64Array(sizeBytes / 8))[Symbol.dispose]();
  },
);

export const createRefs = defineTask(
  import.meta,
  function createRefs(count: number): ObjectRef<number>[] {
    return Array.from({ length: count }, () => put(1));
  },
);
