import { ProtocolError } from '../errors/errors.ts';
import { parseId, type IdKind, type IdKinds } from '../ids.ts';

/** A list of at most `max` entries. @throws ProtocolError */
export function listFrom(value: unknown, max = Infinity): unknown[] {
  if (Array.isArray(value) && value.length <= max) return value;
  throw new ProtocolError('A record without a list, or with one that is too long.');
}

/** @throws ProtocolError */
export function idFrom<K extends IdKind>(kind: K, value: unknown): IdKinds[K] {
  const id = parseId(kind, value);
  if (id === undefined) throw new ProtocolError(`A record with a malformed ${kind} id.`);
  return id;
}

/** @throws ProtocolError */
export function idsFrom<K extends IdKind>(kind: K, value: unknown, max = Infinity): IdKinds[K][] {
  return listFrom(value, max).map((item) => idFrom(kind, item));
}

/** `what`: for the error. @throws ProtocolError */
export function countFrom(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new ProtocolError(`A record with a malformed ${what}.`);
}

/** The number of a question, which its answer will bear. @throws ProtocolError */
export function callFrom(value: unknown): number {
  return countFrom(value, 'call number');
}
