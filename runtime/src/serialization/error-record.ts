import * as errorModule from '../errors/errors.ts';
import { MantaError } from '../errors/errors.ts';
import { textOf } from './unsendable.ts';
import { EXTENSION } from './value-format.ts';
import type { ValueReader } from './value-reader.ts';
import type { ValueWriter } from './value-writer.ts';

/**
 * How an error travels inside a value: the extension `error` holds its Manta class (empty for foreign errors), name,
 * message, stack or nil, whether there is a cause, the cause if so, nil or the array `errors` of an AggregateError,
 * and a map of its own enumerable properties. What cannot be sent is replaced by a text: reporting a failure must not
 * fail.
 */
const CAUSES_MAX = 16;
/** Messages and stacks are cut here, in characters. */
const TEXT_LENGTH_MAX = 64 * 1024;
const CARRIED_APART: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause', 'errors']);
const MARKER = Symbol.for('manta.error');

const MANTA_CLASSES: ReadonlyMap<string, typeof MantaError> = new Map(
  Object.values(errorModule).map((type) => [type.errorName, type as typeof MantaError]),
);

export function writeErrorRecord(writer: ValueWriter, error: object): void {
  const fields = error as Record<string | symbol, unknown>;
  writer.writeExtension(EXTENSION.error, () => {
    writer.writeString(textField(fields, MARKER) ?? '');
    writer.writeString(textField(fields, 'name') ?? 'Error');
    writer.writeString(textField(fields, 'message') ?? '');
    writer.write(textField(fields, 'stack') ?? null);
    writeCause(writer, error);
    const errors = attempt(() => fields['errors']);
    if (Array.isArray(errors)) writer.writeLenientArray(errors);
    else writer.write(null);
    writeProperties(writer, fields);
  });
}

function writeCause(writer: ValueWriter, error: object): void {
  const hasCause = attempt(() => 'cause' in error) === true;
  writer.write(hasCause);
  if (!hasCause) return;
  const cause = (): unknown => (error as { cause?: unknown }).cause;
  if (writer.causeDepth >= CAUSES_MAX) {
    writer.writeString(`[chain of causes cut after ${CAUSES_MAX}: ${textOf(attempt(cause))}]`);
    return;
  }
  writer.causeDepth++;
  writer.writeLenient(cause);
  writer.causeDepth--;
}

function writeProperties(writer: ValueWriter, fields: Record<string, unknown>): void {
  const keys = attempt(() => Object.keys(fields)) ?? [];
  const own = keys.filter(
    (key) => !CARRIED_APART.has(key) || (key === 'errors' && !Array.isArray(fields[key])),
  );
  writer.mapHeader(own.length);
  for (const key of own) {
    writer.writeString(key);
    writer.writeLenient(() => fields[key]);
  }
}

export function readErrorRecord(reader: ValueReader): Error {
  const mantaClass = reader.readText();
  const name = reader.readText();
  const message = reader.readText();
  const stack = reader.read();
  const error = createError(mantaClass, name, message);
  if (typeof stack === 'string') define(error, 'stack', stack, false);
  reader.remember(error);
  if (reader.read() === true) define(error, 'cause', reader.read(), false);
  const errors = reader.read();
  if (Array.isArray(errors)) define(error, 'errors', errors, false);
  reader.readEntries((key, value) => define(error, key, value, true));
  return error;
}

function createError(mantaClass: string, name: string, message: string): Error {
  const { stackTraceLimit } = Error;
  // The stack of the original replaces ours, so ours need not be taken.
  Error.stackTraceLimit = 0;
  try {
    if (mantaClass === '') {
      const error = new Error(message);
      if (name !== 'Error') define(error, 'name', name, false);
      return error;
    }
    // The constructors of the classes take different arguments; their fields are among the properties. A class that
    // only a newer version knows comes back as the base, under its own name.
    const type = MANTA_CLASSES.get(mantaClass) ?? MantaError;
    const error = Reflect.construct(MantaError, [message], type) as MantaError;
    if (name !== error.name) define(error, 'name', name, false);
    return error;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
}

/** Getters of a user's error class may throw; then the field counts as absent. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function textField(
  fields: Record<string | symbol, unknown>,
  key: string | symbol,
): string | undefined {
  const text = attempt(() => fields[key]);
  if (text === undefined) return undefined;
  const whole = typeof text === 'string' ? text : textOf(text);
  if (whole.length <= TEXT_LENGTH_MAX) return whole;
  return `${whole.slice(0, TEXT_LENGTH_MAX)}… (${whole.length - TEXT_LENGTH_MAX} characters more)`;
}
