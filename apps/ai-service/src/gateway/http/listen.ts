import type { Logger } from '../logger.ts';
import type { HttpServer, HttpServerOptions } from './http-server.ts';
import { listenNode } from './node-adapter.ts';
import { listenUwebsockets } from './uwebsockets-adapter.ts';
import { loadUwebsockets, type UwsModule } from './uwebsockets-module.ts';

/**
 * Listens with uWebSockets.js where it is installed, else with `node:http`, and logs which.
 * @param location MANTA_UWEBSOCKETS: where uWebSockets.js is; 'off' for `node:http` in any case.
 */
export async function listenHttp(
  options: HttpServerOptions,
  logger: Logger,
  location: string | undefined,
): Promise<HttpServer> {
  const uws = location === 'off' ? undefined : tryLoad(logger, location);
  if (uws === undefined) return listenNode(options);
  const server = await listenUwebsockets(uws, options);
  logger.info({ adapter: server.adapter }, 'HTTP is served by uWebSockets.js');
  return server;
}

function tryLoad(logger: Logger, location: string | undefined): UwsModule | undefined {
  try {
    return loadUwebsockets(location);
  } catch (error) {
    // Not installed is the usual case; asked for and not there is worth a word.
    if (location !== undefined) {
      logger.warn({ err: error }, 'HTTP is served by node:http: uWebSockets.js cannot be used');
    }
    return undefined;
  }
}
