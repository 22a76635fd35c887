import { ProtocolError } from '../errors/errors.ts';
import { parseId, type ObjectId, type ProcessId } from '../ids.ts';
import type { Receipts } from '../objects/borrower.ts';

function objectId(value: unknown): ObjectId {
  const id = parseId('object', value);
  if (id === undefined) throw new ProtocolError('A record about an object without an object id.');
  return id;
}

/** @throws ProtocolError */
export function idsOf(value: unknown): ObjectId[] {
  if (!Array.isArray(value))
    throw new ProtocolError('A record about objects without a list of ids.');
  return value.map(objectId);
}

/** @throws ProtocolError */
export function releasesOf(value: unknown): [ObjectId, Receipts][] {
  if (!Array.isArray(value)) throw new ProtocolError('A release without a list.');
  return value.map((entry: unknown) => {
    const [id, fromOwner, fromOthers] = Array.isArray(entry) ? (entry as unknown[]) : [];
    const receipts = { fromOwner: timesFrom(fromOwner), fromOthers: timesByGiver(fromOthers) };
    return [objectId(id), receipts];
  });
}

function timesByGiver(value: unknown): Map<ProcessId, number> | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw new ProtocolError('A release without a list of givers.');
  return new Map(
    value.map((entry: unknown) => {
      const [giver, times] = Array.isArray(entry) ? (entry as unknown[]) : [];
      const giverId = parseId('process', giver);
      if (giverId === undefined) throw new ProtocolError('A release that names no giver.');
      return [giverId, timesFrom(times)];
    }),
  );
}

function timesFrom(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new ProtocolError('A release without a count.');
}
