import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { nodeStart } from '@manta/runtime/certificates/node-start';
import { ClusterUnavailableError } from '@manta/runtime/errors/errors';

/** What a cluster process runs: a head, a node, or both. It is the command line's, so that the SDK needs no head or worker. */
export interface ClusterProcessConfiguration {
  /** For sockets, logs and caches; removed when the process ends. */
  directory: string;
  token: string;
  /** A broker apart from the head, which can be stopped and started. */
  broker?: { port: number };
  head?: {
    clusterId?: string;
    port?: number;
    /** Absent: the state is kept in memory. */
    stateDirectory?: string;
    natsUrl?: string;
    failureDetectionMs?: number;
  };
  node?: {
    /** Absent: the head in this process. */
    natsUrl?: string;
    name?: string;
    cpus?: number;
    gpus?: number;
    simulatedGpus?: { count: number; memoryBytes: number; model: string };
    memoryBytes?: number;
    resources?: Record<string, number>;
    labels?: Record<string, string>;
    poolSize?: number;
    objectStoreBytes?: number;
    spillDirectories?: string[];
    tcpHost?: string;
  };
}

export interface ClusterProcessReady {
  clusterId?: string;
  url?: string;
  nodeId?: string;
}

export type ClusterCommand = 'drain' | 'partition' | 'heal' | 'stop-broker' | 'start-broker';

const PROGRAM = '@manta/cli/cluster-process';
const START_TIMEOUT_MS = 30_000;

/**
 * A child that runs parts of a cluster for this process. It speaks JSON lines: its configuration and commands come on
 * its stdin, its answers go out on descriptor 3. It ends when its stdin closes, so it cannot outlive its parent.
 */
export class ClusterProcess {
  readonly #child: ChildProcess;
  readonly #answers = new Map<
    number,
    { resolve(value: unknown): void; reject(error: Error): void }
  >();
  readonly #exited: Promise<void>;
  #nextCommand = 1;
  #waits = 0;
  ready: ClusterProcessReady = {};

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()));
  }

  /** @throws ClusterUnavailableError with what the process wrote when it does not come up. */
  static async start(
    configuration: ClusterProcessConfiguration,
    variables: Record<string, string> = {},
  ): Promise<ClusterProcess> {
    const program = fileURLToPath(import.meta.resolve(PROGRAM));
    // A group of its own: a Ctrl-C in the terminal is for the driver, which then ends the cluster in order.
    const { nodeArguments, environment } = nodeStart({ ...process.env, ...variables });
    const child = spawn(process.execPath, [...nodeArguments, program, configuration.directory], {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
      detached: true,
      env: environment,
    });
    const started = new ClusterProcess(child);
    (child.stdin as Writable).on('error', () => undefined); // The exit is what is reported.
    started.#send(configuration);
    await started.#awaitReady();
    started.#unref();
    return started;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  #send(message: unknown): void {
    (this.#child.stdin as Writable).write(`${JSON.stringify(message)}\n`);
  }

  #awaitReady(): Promise<void> {
    return new Promise((resolve, reject) => {
      let errorText = '';
      const fail = (why: string): void => {
        clearTimeout(timer);
        this.#child.kill('SIGKILL');
        reject(
          new ClusterUnavailableError(
            `The cluster process did not start: ${why}\n${errorText}`.trim(),
          ),
        );
      };
      const timer = setTimeout(
        () => fail(`it was not ready within ${START_TIMEOUT_MS} ms.`),
        START_TIMEOUT_MS,
      );
      this.#child.stderr?.on('data', (chunk: Buffer) => {
        if (errorText.length < 10_000) errorText += chunk.toString();
      });
      this.#child.once('exit', (code, signal) =>
        fail(`it ended with ${signal ?? `code ${code}`}.`),
      );
      this.#child.once('error', (error) => fail(error.message));
      createInterface({ input: this.#child.stdio[3] as Readable }).on('line', (line) => {
        const message = JSON.parse(line) as {
          ready?: ClusterProcessReady;
          id?: number;
          value?: unknown;
          error?: string;
        };
        if (message.ready !== undefined) {
          clearTimeout(timer);
          this.ready = message.ready;
          resolve();
        } else {
          this.#answered(message);
        }
      });
    });
  }

  #answered({ id, value, error }: { id?: number; value?: unknown; error?: string }): void {
    const waiting = this.#answers.get(id ?? 0);
    this.#answers.delete(id ?? 0);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new ClusterUnavailableError(error));
  }

  /** It must not keep its parent alive. */
  #unref(): void {
    this.#child.unref();
    for (const stream of this.#child.stdio) (stream as { unref?: () => void } | null)?.unref?.();
  }

  /** Except while something is awaited of it: a program that does nothing else must not end then. */
  async #awaited<T>(event: Promise<T>): Promise<T> {
    this.#waits += 1;
    this.#child.ref();
    try {
      return await event;
    } finally {
      this.#waits -= 1;
      if (this.#waits === 0) this.#child.unref();
    }
  }

  command(command: ClusterCommand, argument?: unknown): Promise<unknown> {
    const id = this.#nextCommand++;
    this.#send({ id, command, argument });
    const answer = new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
      void this.#exited.then(() =>
        reject(new ClusterUnavailableError(`The process ended before it answered ${command}.`)),
      );
    });
    return this.#awaited(answer);
  }

  kill(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal);
    return this.#awaited(this.#exited);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Closes its stdin; it ends what it runs and cleans up. */
  async close(): Promise<void> {
    (this.#child.stdin as Writable).end();
    await this.#awaited(this.#exited);
  }
}
