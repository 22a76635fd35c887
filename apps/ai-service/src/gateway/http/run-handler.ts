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

/** An absolute form, which a proxy may send (RFC 9112, 3.2.2): scheme and authority. */
const ORIGIN = /^https?:\/\/[^/?]*/i;

/** Splits a request target at its query. */
export function splitTarget(whole: string): { path: string; query: string } {
  const target = whole.startsWith('/') ? whole : whole.replace(ORIGIN, '') || '/';
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, query: '' };
  return { path: target.slice(0, mark), query: target.slice(mark + 1) };
}
