import { createRequire } from 'node:module';
import { isAbsolute, resolve } from 'node:path';
import { DEFAULT_HTTP_LIMITS } from './http-server.ts';

/** What the adapter uses of uWebSockets.js, which is not a dependency: it is loaded if it is there. */
export interface UwsModule {
  App(): UwsApp;
  SSLApp(files: { cert_file_name: string; key_file_name: string }): UwsApp;
  us_listen_socket_close(socket: UwsListenSocket): void;
  us_socket_local_port(socket: UwsListenSocket): number;
  DISABLED: number;
  LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

export type UwsListenSocket = object;

export interface UwsApp {
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): UwsApp;
  ws(pattern: string, behavior: UwsBehavior): UwsApp;
  listen(
    host: string,
    port: number,
    options: number,
    listening: (socket: UwsListenSocket | false) => void,
  ): UwsApp;
  close(): UwsApp;
}

/** Valid only during the callback that it was passed to. */
export interface UwsRequest {
  getUrl(): string;
  getQuery(): string | undefined;
  getCaseSensitiveMethod(): string;
  getHeader(lowerCaseName: string): string;
  forEach(visit: (name: string, value: string) => void): void;
}

/** Valid until `end` succeeded or `onAborted` was called. */
export interface UwsResponse {
  writeStatus(status: string): UwsResponse;
  writeHeader(name: string, value: string): UwsResponse;
  write(chunk: string | Uint8Array): boolean;
  tryEnd(body: string | Uint8Array, totalBytes: number): [ok: boolean, done: boolean];
  end(body?: string | Uint8Array, closeConnection?: boolean): UwsResponse;
  endWithoutBody(): UwsResponse;
  getWriteOffset(): number;
  onWritable(handler: (offset: number) => boolean): UwsResponse;
  onAborted(handler: () => void): UwsResponse;
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): UwsResponse;
  cork(write: () => void): UwsResponse;
  close(): UwsResponse;
  upgrade(
    userData: object,
    key: string,
    protocol: string,
    extensions: string,
    context: object,
  ): void;
}

export interface UwsWebSocket {
  send(message: string | Uint8Array, isBinary: boolean): number;
  ping(): number;
  getBufferedAmount(): number;
  getUserData(): unknown;
  end(code: number, reason: string): void;
  close(): void;
}

export interface UwsBehavior {
  compression: number;
  maxPayloadLength: number;
  idleTimeout: number;
  sendPingsAutomatically: boolean;
  maxBackpressure: number;
  upgrade(response: UwsResponse, request: UwsRequest, context: object): void;
  open(socket: UwsWebSocket): void;
  message(socket: UwsWebSocket, message: ArrayBuffer, isBinary: boolean): void;
  drain(socket: UwsWebSocket): void;
  pong(socket: UwsWebSocket): void;
  close(socket: UwsWebSocket): void;
}

/** The names under which the package is found on npm and in git. */
const PACKAGE_NAMES = ['uwebsockets', 'uWebSockets.js'];

/**
 * Loads uWebSockets.js from `location` (a package name, a package's folder, or a folder with it in `node_modules`), else
 * by its usual names.
 * @throws Error that says what was tried when it is not there or has no binary for this platform.
 */
export function loadUwebsockets(location: string | undefined): UwsModule {
  // Read by the library when it is loaded: its default of 4 KiB is less than the other adapter takes.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= String(DEFAULT_HTTP_LIMITS.headerBytes);
  const require = createRequire(import.meta.url);
  const tried: string[] = [];
  for (const candidate of candidates(location)) {
    try {
      return require(candidate) as UwsModule;
    } catch (error) {
      tried.push(`${candidate}: ${(error as Error).message.split('\n', 1)[0]}`);
    }
  }
  throw new Error(`uWebSockets.js could not be loaded (${tried.join('; ')})`);
}

function candidates(location: string | undefined): string[] {
  if (location === undefined || location === '') return PACKAGE_NAMES;
  if (!isAbsolute(location) && !location.startsWith('.')) return [location];
  const folder = resolve(location);
  return [folder, ...PACKAGE_NAMES.map((name) => resolve(folder, 'node_modules', name))];
}
