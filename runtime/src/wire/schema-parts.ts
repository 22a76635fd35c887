import * as v from 'valibot';
import { parseId, type IdKind, type IdKinds } from '../ids.ts';
import { LIMITS } from './limits.ts';

/** What the schemas of control messages are made of. */
export const id = <K extends IdKind>(kind: K) =>
  v.custom<IdKinds[K]>((value) => parseId(kind, value) !== undefined, `not a ${kind} id`);
export const name = v.pipe(v.string(), v.minLength(1), v.maxLength(LIMITS.nameLength));
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
export const amount = v.pipe(v.number(), v.finite(), v.minValue(0));
export const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not bytes');
export const errorBytes = v.pipe(
  bytes,
  v.check((encoded) => encoded.byteLength <= LIMITS.encodedErrorBytes, 'too many bytes'),
);
export const smallRecord = <T extends v.GenericSchema>(value: T) =>
  v.pipe(
    v.record(name, value),
    v.check((entries) => Object.keys(entries).length <= LIMITS.recordEntries, 'too many entries'),
  );
