import { ProtocolError } from '../errors/errors.ts';
import type { ObjectId, ProcessId } from '../ids.ts';
import type { Receipts } from '../objects/borrower.ts';
import { addressFrom } from '../rpc/address-record.ts';
import { countFrom, idFrom, idsFrom, listFrom } from '../rpc/record-fields.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { WORD } from './owner-words.ts';

/** A word of a borrower, as its owner reads it (core/owner-words.ts). */
export type HeardWord =
  | { kind: 'holds' | 'freed'; ids: ObjectId[] }
  | {
      kind: 'passedOn';
      ids: ObjectId[];
      borrower: ProcessId;
      address: ProcessAddress | undefined;
    }
  | { kind: 'released'; releases: [ObjectId, Receipts][] };

/** @throws ProtocolError */
export function wordsFrom(value: unknown): HeardWord[] {
  return listFrom(value).map((word) => {
    const [kind, about, borrower, address] = listFrom(word);
    switch (kind) {
      case WORD.holds:
        return { kind: 'holds', ids: idsFrom('object', about) };
      case WORD.passedOn:
        return {
          kind: 'passedOn',
          ids: idsFrom('object', about),
          borrower: idFrom('process', borrower),
          address: address === null ? undefined : addressFrom(address),
        };
      case WORD.released:
        return { kind: 'released', releases: releasesFrom(about) };
      case WORD.freed:
        return { kind: 'freed', ids: idsFrom('object', about) };
      default:
        throw new ProtocolError(`A word of unknown kind ${String(kind)} about refs.`);
    }
  });
}

function releasesFrom(value: unknown): [ObjectId, Receipts][] {
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
