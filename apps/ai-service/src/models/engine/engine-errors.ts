import { ModelEngineError, ModelInputError } from '../errors.ts';
import type { EngineErrorData } from './engine-protocol.ts';

/** Makes an error ready to leave the engine's thread. */
export function engineErrorToData(error: unknown): EngineErrorData {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const param = error instanceof ModelInputError ? error.param : undefined;
  return { name: error.name, message: error.message, stack: error.stack, param };
}

/** The error of the other thread: bad input stays bad input, anything else is the engine's failure. */
export function engineErrorFromData(data: EngineErrorData): Error {
  const error =
    data.name === 'ModelInputError'
      ? new ModelInputError(data.message, data.param)
      : new ModelEngineError(data.message);
  if (data.stack !== undefined) error.stack = data.stack;
  return error;
}
