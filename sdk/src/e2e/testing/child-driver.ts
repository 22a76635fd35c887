import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../fixtures/driver.mjs', import.meta.url));

/** How a program is started, with a pipe to its input and one from its output. */
export type SpawnProgram = (program: string, args: readonly string[]) => ChildProcess;

const spawnHere: SpawnProgram = (program, args) =>
  spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });

interface Answer {
  id?: number;
  value?: unknown;
  error?: { name: string; message: string };
}

/** A driver in a process of its own. */
export class ChildDriver {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #exited: Promise<void>;
  #next = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()));
  }

  static async start(
    address: string,
    namespace = 'tests',
    { program = PROGRAM, spawnProgram = spawnHere } = {},
  ): Promise<ChildDriver> {
    const child = spawnProgram(process.execPath, [program, address, namespace]);
    const driver = new ChildDriver(child);
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`The driver ended with code ${code}.`)));
      createInterface({ input: child.stdout as Readable }).on('line', (line) => {
        const answer = JSON.parse(line) as Answer;
        if (answer.id === undefined) resolve();
        else driver.#waiting.get(answer.id)?.(answer);
      });
    });
    return driver;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask<T = unknown>(command: string, parameters: object = {}): Promise<T> {
    const id = this.#next;
    this.#next += 1;
    (this.#child.stdin as Writable).write(`${JSON.stringify({ id, command, ...parameters })}\n`);
    const answer = await new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#waiting.delete(id);
    if (answer.error === undefined) return answer.value as T;
    throw Object.assign(new Error(answer.error.message), { name: answer.error.name });
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
