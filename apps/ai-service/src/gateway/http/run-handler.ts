import { ClientGoneError, type HttpRequest, type HttpResponse } from './http-server.ts';
import type { HttpServerOptions } from './http-server.ts';

/** Calls the handler; what it throws ends the exchange and is reported, unless the client had left anyway. */
export function runHandler(
  options: HttpServerOptions,
  request: HttpRequest,
  response: HttpResponse,
): void {
  const failed = (error: unknown): void => {
    if (!(error instanceof ClientGoneError)) options.onHandlerError(error);
    if (response.started) response.destroy();
    else response.send(500, {}, '');
  };
  try {
    const result = options.handler(request, response);
    if (result !== undefined) result.catch(failed);
  } catch (error) {
    failed(error);
  }
}

/** Splits a request target at its query. */
export function splitTarget(target: string): { path: string; query: string } {
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, query: '' };
  return { path: target.slice(0, mark), query: target.slice(mark + 1) };
}
