/** The request cannot be served as it stands; `param` names the offending part of it. Never worth a retry. */
export class ModelInputError extends Error {
  override readonly name = 'ModelInputError';
  readonly code = 'INVALID_ARGUMENT';
  readonly param: string | undefined;
  /** As OpenAI names it. */
  readonly reason: 'context_length_exceeded' | undefined;

  constructor(message: string, param?: string, reason?: 'context_length_exceeded') {
    super(message);
    this.param = param;
    this.reason = reason;
  }
}

/** The model's engine could not start, has died or was closed. Another replica may serve the request. */
export class ModelEngineError extends Error {
  override readonly name = 'ModelEngineError';
  readonly code = 'MODEL_ENGINE';
}

/** More requests wait for this replica than it takes. Worth a retry a moment later. */
export class ModelOverloadedError extends Error {
  override readonly name = 'ModelOverloadedError';
  readonly code = 'BACKPRESSURE';
}

/** Finds a ModelInputError in an error or its causes: by name, because an actor call returns a copy as the cause. */
export function findModelInputError(
  error: unknown,
): { message: string; param?: string | undefined; reason?: string | undefined } | undefined {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current.name !== 'ModelInputError') continue;
    const { param, reason } = current as { param?: unknown; reason?: unknown };
    return { message: current.message, param: textOf(param), reason: textOf(reason) };
  }
  return undefined;
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined;
