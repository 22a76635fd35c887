import { ModelEngineError, ModelInputError, ModelOverloadedError } from '../errors.ts';
import type { EngineErrorData } from './engine-protocol.ts';

/** Makes an error ready to leave the engine's thread. */
export function engineErrorToData(error: unknown): EngineErrorData {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { param, reason } = error as Partial<ModelInputError>;
  return { name: error.name, message: error.message, stack: error.stack, param, reason };
}

/** The error of the other thread: bad input and overload stay what they are, anything else is the engine's failure. */
export function engineErrorFromData(data: EngineErrorData): Error {
  const error = classOf(data);
  if (data.stack !== undefined) error.stack = data.stack;
  return error;
}

function classOf({ name, message, param, reason }: EngineErrorData): Error {
  if (name === 'ModelInputError') return new ModelInputError(message, param, reason);
  if (name === 'ModelOverloadedError') return new ModelOverloadedError(message);
  return new ModelEngineError(message);
}
