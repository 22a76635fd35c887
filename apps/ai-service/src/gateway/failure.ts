import { MantaError } from '@manta/sdk';
import { findModelInputError } from '../models/errors.ts';
import { ClientGoneError, HttpError } from './http/http-server.ts';
import { RequestError } from './request-error.ts';

/** What any error means to a client, before a protocol gives it its form. */
export interface Failure {
  /** 499 when the client has left: logged and counted, never sent. */
  status: number;
  type: string;
  message: string;
  param: string | null;
  code: string | null;
  retryAfterSeconds?: number;
  /** With 405: the methods that there are. */
  allow?: string;
}

/** Manta's errors that are not the caller's fault, by class name. Everything else is a 500. */
const STATUS_OF_MANTA_ERROR: Record<string, number> = {
  InvalidArgumentError: 400,
  BackpressureError: 429,
  TaskCancelledError: 499,
  TaskTimeoutError: 504,
  GetTimeoutError: 504,
  ActorDiedError: 503,
  ActorUnavailableError: 503,
  ActorNotFoundError: 503,
  AuthenticationError: 503,
  ClusterUnavailableError: 503,
  InfeasibleError: 503,
  NodeDiedError: 503,
  ObjectStoreFullError: 503,
  OutOfMemoryError: 503,
  SchedulingTimeoutError: 503,
  WorkerCrashedError: 503,
};

/** What a model's own errors mean, wherever among the causes of a failed call they are. */
const STATUS_OF_MODEL_ERROR: Record<string, number> = {
  ModelEngineError: 503,
  ModelOverloadedError: 429,
};

const TYPE_OF_STATUS: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  408: 'timeout_error',
  413: 'invalid_request_error',
  415: 'invalid_request_error',
  429: 'rate_limit_error',
  499: 'client_closed_request',
  502: 'bad_gateway_error',
  503: 'service_unavailable_error',
  504: 'timeout_error',
};

export function failureOf(error: unknown): Failure {
  if (error instanceof RequestError) {
    const refusal = failure(error.status, error.message, error.param, error.code);
    return error.allow === undefined ? refusal : { ...refusal, allow: error.allow };
  }
  if (error instanceof HttpError) return failure(error.status, error.message);
  if (error instanceof ClientGoneError) return failure(499, error.message);
  const input = findModelInputError(error);
  if (input !== undefined) return failure(400, input.message, input.param, input.reason);
  const model = findByName(error, STATUS_OF_MODEL_ERROR);
  if (model !== undefined) {
    const status = STATUS_OF_MODEL_ERROR[model.name] ?? 500;
    return withRetryAfter(failure(status, model.message, null, codeOf(model)));
  }
  if (MantaError.is(error)) return mantaFailure(error as MantaError);
  return failure(
    500,
    'the service failed to answer; its log has the details under this request id',
  );
}

function mantaFailure(error: MantaError): Failure {
  const status = STATUS_OF_MANTA_ERROR[error.name] ?? 500;
  return withRetryAfter(failure(status, error.message, null, error.code));
}

/** Both pass by themselves: another try a moment later may do. */
function withRetryAfter(result: Failure): Failure {
  const passes = result.status === 429 || result.status === 503;
  return passes ? { ...result, retryAfterSeconds: 1 } : result;
}

/** By name, because an actor call returns a copy as the cause. */
function findByName(error: unknown, names: object): Error | undefined {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (Object.hasOwn(names, current.name)) return current;
  }
  return undefined;
}

function codeOf(error: Error): string | null {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : null;
}

function failure(
  status: number,
  message: string,
  param: string | null = null,
  code: string | null = null,
): Failure {
  return { status, type: TYPE_OF_STATUS[status] ?? 'server_error', message, param, code };
}
