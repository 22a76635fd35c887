import { collectGarbage } from '@manta/runtime/core/garbage';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import { rowsOf } from '@manta/runtime/state/process-report';

/** What a process still holds of objects. */
export interface Remains {
  readonly exported: number;
  readonly borrowed: number;
  readonly liveSlots: number;
  readonly liveBytes: number;
  readonly views: number;
  readonly waitingBytes: number;
  /** The first of them, for people. */
  readonly objects: readonly string[];
}

const OBJECTS_SHOWN = 5;

function remainsOf(core: CoreProcess): Remains {
  const statistics = core.store.statistics();
  return {
    exported: core.objects.table.size,
    borrowed: core.objects.borrowed.size,
    liveSlots: statistics?.liveSlots ?? 0,
    liveBytes: statistics?.liveBytes ?? 0,
    views: statistics?.views ?? 0,
    waitingBytes: core.store.waitingBytes,
    objects: rowsOf(core, { limit: OBJECTS_SHOWN }).rows.map((row) => JSON.stringify(row)),
  };
}

export function isNothing(remains: Remains): boolean {
  const { exported, borrowed, liveSlots, views, waitingBytes } = remains;
  return exported + borrowed + liveSlots + views + waitingBytes === 0;
}

/** After the garbage is collected. */
export async function remainsAfterCollection(core: CoreProcess): Promise<Remains> {
  await collectGarbage();
  return remainsOf(core);
}
