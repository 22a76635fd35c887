import type { Options } from 'msgpackr';
import { Packr } from 'msgpackr/pack';
import * as v from 'valibot';
import { MantaError, ProtocolError } from '../errors/errors.ts';
import { LIMITS } from '../wire/limits.ts';
import { PROTOCOL_VERSION } from '../wire/messages.ts';
import { checkPlainMessagePack } from './plain-message-pack.ts';

/** Plain MessagePack: no records, no types of msgpackr's own, no cycles; absent and undefined fields are the same. */
const options: Options & { skipValues: unknown[] } = {
  useRecords: false,
  variableMapSize: true,
  moreTypes: false,
  structuredClone: false,
  // Missing in msgpackr's types.
  skipValues: [undefined],
};
const packr = new Packr(options);

/** The version byte and the message. @throws ProtocolError when it is larger than `LIMITS.controlMessageBytes`. */
export function encodeControl(message: unknown): Uint8Array {
  const packed = packr.pack(message);
  if (packed.length >= LIMITS.controlMessageBytes) {
    throw new ProtocolError(
      `control message of ${packed.length} bytes: the limit is ${LIMITS.controlMessageBytes}`,
    );
  }
  const bytes = Buffer.allocUnsafe(packed.length + 1);
  bytes[0] = PROTOCOL_VERSION;
  bytes.set(packed, 1);
  return bytes;
}

/** @throws ProtocolError that names the version, the byte or the field that is wrong. Nothing else. */
export function decodeControl<S extends v.GenericSchema>(
  schema: S,
  bytes: Uint8Array,
): v.InferOutput<S> {
  if (bytes.length > LIMITS.controlMessageBytes) {
    throw new ProtocolError(
      `control message of ${bytes.length} bytes: the limit is ${LIMITS.controlMessageBytes}`,
    );
  }
  const version = bytes[0];
  if (version === undefined) throw new ProtocolError('empty control message');
  if (version !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      `control message of protocol version ${version}; this process speaks ${PROTOCOL_VERSION}: run matching Manta versions`,
    );
  }
  const result = v.safeParse(schema, unpack(bytes.subarray(1)), { abortEarly: true });
  if (result.success) return result.output;
  throw new ProtocolError(describe(result.issues[0]));
}

function unpack(bytes: Uint8Array): unknown {
  try {
    checkPlainMessagePack(bytes, LIMITS.controlDepth);
    return packr.unpack(bytes);
  } catch (error) {
    if (MantaError.is(error)) throw error;
    throw new ProtocolError('malformed control message', { cause: error });
  }
}

function describe(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  return `control message refused${path === null ? '' : ` at ${path}`}: ${issue.message}`;
}
