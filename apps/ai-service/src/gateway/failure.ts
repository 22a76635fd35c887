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
    return failure(error.status, error.message, error.param, error.code);
  }
  if (error instanceof HttpError) return failure(error.status, error.message);
  if (error instanceof ClientGoneError) return failure(499, error.message);
  const input = findModelInputError(error);
  if (input !== undefined) return failure(400, input.message, input.param);
  if (MantaError.is(error)) return mantaFailure(error as MantaError);
  return failure(
    500,
    'the service failed to answer; its log has the details under this request id',
  );
}

function mantaFailure(error: MantaError): Failure {
  const status = hasName(error, 'ModelEngineError')
    ? 503
    : (STATUS_OF_MANTA_ERROR[error.name] ?? 500);
  const result = failure(status, error.message, null, error.code);
  if (status === 429 || status === 503) result.retryAfterSeconds = 1;
  return result;
}

function hasName(error: unknown, name: string): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current.name === name) return true;
  }
  return false;
}

function failure(
  status: number,
  message: string,
  param: string | null = null,
  code: string | null = null,
): Failure {
  return { status, type: TYPE_OF_STATUS[status] ?? 'server_error', message, param, code };
}
