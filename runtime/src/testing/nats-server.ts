import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestServer, TestServerOptions } from './server-under-test.ts';
import { waitFor } from './wait-for.ts';

const INSTALL_HINT =
  'Install the real servers with `sh scripts/install-test-servers.sh` and export the line it prints ' +
  '(MANTA_NATS_SERVERS, paths separated by colons), or put nats-server on the PATH.';

/** Real `nats-server` programs to test on: MANTA_NATS_SERVERS, else MANTA_NATS_SERVER, else the one on the PATH. */
export function natsServerPrograms(environment: NodeJS.ProcessEnv = process.env): string[] {
  const named = environment['MANTA_NATS_SERVERS'] ?? environment['MANTA_NATS_SERVER'];
  const programs =
    named === undefined ? onPath(environment) : named.split(':').filter((path) => path !== '');
  if (programs.length === 0) throw new Error(`No nats-server was found. ${INSTALL_HINT}`);
  for (const program of programs) {
    if (!isExecutable(program)) throw new Error(`${program} is not a program. ${INSTALL_HINT}`);
  }
  return programs;
}

export interface NatsServer extends TestServer {
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** Starts a real NATS server that listens on 127.0.0.1 only and keeps its files in a folder that `stop` removes. */
export async function startNatsServer(
  options: TestServerOptions & { program?: string } = {},
): Promise<NatsServer> {
  const program = options.program ?? natsServerPrograms()[0] ?? '';
  const port = options.port ?? (await freePort());
  const folder = mkdtempSync(join(tmpdir(), 'manta-nats-'));
  const configuration = join(folder, 'server.conf');
  writeFileSync(configuration, configurationText(options, port));
  const child = spawn(program, ['-c', configuration], { stdio: ['ignore', 'ignore', 'pipe'] });
  const server = new RunningServer(child, port, folder);
  try {
    await server.started();
  } catch (error) {
    await server.kill();
    throw error;
  }
  return server;
}

class RunningServer implements NatsServer {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #exited: Promise<void>;
  #output = '';

  constructor(child: ChildProcess, port: number, folder: string) {
    this.#child = child;
    this.port = port;
    this.#folder = folder;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-4_000);
    });
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
  }

  get url(): string {
    return `nats://${this.host}:${this.port}`;
  }

  async started(): Promise<void> {
    await waitFor(() => this.#ended() || accepts(this.host, this.port), {
      describe: `nats-server listens on port ${this.port}`,
    });
    if (this.#ended()) throw new Error(`nats-server ended at its start: ${this.#output}`);
  }

  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.#ended()) this.#child.kill(signal);
    await this.#exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #ended(): boolean {
    return (
      this.#child.pid === undefined ||
      this.#child.exitCode !== null ||
      this.#child.signalCode !== null
    );
  }
}

function configurationText(options: TestServerOptions, port: number): string {
  const lines = [`listen: "127.0.0.1:${port}"`, 'ping_max: 2'];
  const set = (name: string, value: number | undefined): void => {
    if (value !== undefined) lines.push(`${name}: ${value}`);
  };
  set('max_payload', options.maxPayloadBytes);
  set('max_pending', options.maxPendingBytes);
  set('max_control_line', options.maxControlLineBytes);
  set('max_connections', options.maxConnections);
  set('max_subscriptions', options.maxSubscriptionsPerConnection);
  if (options.pingIntervalMs !== undefined)
    lines.push(`ping_interval: "${options.pingIntervalMs}ms"`);
  if (options.token !== undefined) {
    const timeout = (options.authTimeoutMs ?? 2_000) / 1_000;
    lines.push(`authorization { token: "${options.token}", timeout: ${timeout} }`);
  }
  return `${lines.join('\n')}\n`;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function onPath(environment: NodeJS.ProcessEnv): string[] {
  const folders = (environment['PATH'] ?? '').split(delimiter);
  const program = folders.map((folder) => join(folder, 'nats-server')).find(isExecutable);
  return program === undefined ? [] : [program];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
