/** The request cannot be served as it stands; `param` names the offending part of it. Never worth a retry. */
export class ModelInputError extends Error {
  override readonly name = 'ModelInputError';
  readonly code = 'INVALID_ARGUMENT';
  readonly param: string | undefined;

  constructor(message: string, param?: string) {
    super(message);
    this.param = param;
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
): { message: string; param?: string | undefined } | undefined {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current.name !== 'ModelInputError') continue;
    const param = (current as { param?: unknown }).param;
    return { message: current.message, param: typeof param === 'string' ? param : undefined };
  }
  return undefined;
}
