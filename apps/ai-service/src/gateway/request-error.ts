/** The gateway's own refusal of a request, before any model has seen it. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: number;
  /** Machine-readable, as OpenAI names them: `model_not_found`. */
  readonly code: string | null;
  /** The parameter at fault: `messages[0].content`. */
  readonly param: string | null;
  /** With 405: the methods that there are. */
  readonly allow: string | undefined;

  constructor(
    status: number,
    message: string,
    details?: { code?: string; param?: string; allow?: string },
  ) {
    super(message);
    this.allow = details?.allow;
    this.status = status;
    this.code = details?.code ?? null;
    this.param = details?.param ?? null;
  }
}

export function invalid(param: string, message: string): RequestError {
  return new RequestError(400, message, { param });
}

export function unsupported(param: string): RequestError {
  return new RequestError(400, `'${param}' is not supported by this service`, {
    param,
    code: 'unsupported_parameter',
  });
}

export function unknownModel(id: string): RequestError {
  return new RequestError(
    404,
    `the model '${id}' does not exist; GET /v1/models lists those that do`,
    {
      param: 'model',
      code: 'model_not_found',
    },
  );
}
