import type { ObjectId, ProcessId } from '../ids.ts';
import type { Receipts } from '../objects/borrower.ts';
import { countFrom, idFrom, listFrom } from '../rpc/record-fields.ts';

/** @throws ProtocolError */
export function releasesFrom(value: unknown): [ObjectId, Receipts][] {
  return listFrom(value).map((entry) => {
    const [id, fromOwner, fromOthers] = listFrom(entry);
    const receipts = { fromOwner: timesFrom(fromOwner), fromOthers: timesByGiver(fromOthers) };
    return [idFrom('object', id), receipts];
  });
}

function timesByGiver(value: unknown): Map<ProcessId, number> | undefined {
  if (value === undefined) return undefined;
  return new Map(
    listFrom(value).map((entry) => {
      const [giver, times] = listFrom(entry);
      return [idFrom('process', giver), timesFrom(times)];
    }),
  );
}

const timesFrom = (value: unknown): number => countFrom(value, 'count of releases');
