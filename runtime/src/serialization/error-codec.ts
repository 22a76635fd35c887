import { types } from 'node:util';
import { ProtocolError, TaskError } from '../errors/errors.ts';
import { textOf } from './unsendable.ts';
import { createValueCodec } from './value-codec.ts';

const codec = createValueCodec({
  acceptsTransferables: false,
  revive() {
    throw new ProtocolError('an error cannot carry a ref or a handle');
  },
});

/** An error whose own properties are larger goes without them. */
const ERROR_BYTES_MAX = 16 * 1024 * 1024;

const isError = (value: unknown): value is Error =>
  types.isNativeError(value) || value instanceof Error;

/**
 * Never throws. Manta's errors keep their class and fields. Any other error keeps name, message, stack, its own
 * enumerable properties (those that cannot be sent become a text), up to 16 causes and `errors`, not its class. One of
 * more than 16 MiB is cut down to its text.
 * What is thrown without being an error travels as the value it is.
 */
export function encodeError(thrown: unknown): Uint8Array {
  try {
    const { bytes } = codec.encode(thrown, 'error');
    if (bytes.byteLength <= ERROR_BYTES_MAX) return bytes;
    return encodeText(thrown, `cut down: it had ${bytes.byteLength} bytes with its properties`);
  } catch (error) {
    return encodeText(thrown, textOf(error));
  }
}

function encodeText(thrown: unknown, remark: string): Uint8Array {
  return codec.encode(new Error(`${textOf(thrown)} (${remark})`), 'error').bytes;
}

/**
 * The error; a value that is none comes back as the `cause` of an Error.
 * @throws ProtocolError when the bytes are malformed.
 */
export function decodeError(bytes: Uint8Array): Error {
  const thrown = codec.decode(bytes);
  return isError(thrown) ? thrown : new Error(`thrown: ${textOf(thrown)}`, { cause: thrown });
}

export interface FailedCall {
  method: string;
  actorId?: string | undefined;
  /** Only for the message. */
  className?: string | undefined;
}

/** What a caller gets when the code it called threw: `Counter.increment failed: no such key`. */
export function taskErrorFrom(thrown: unknown, call: FailedCall): TaskError {
  const label = call.className === undefined ? call.method : `${call.className}.${call.method}`;
  const message = isError(thrown) ? messageOf(thrown) : textOf(thrown);
  return new TaskError(`${label} failed: ${message}`, {
    cause: thrown,
    method: call.method,
    actorId: call.actorId,
  });
}

function messageOf(error: Error): string {
  try {
    return error.message === '' ? error.name : error.message;
  } catch {
    return textOf(error);
  }
}
