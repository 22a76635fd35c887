import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { PlayerReport } from './player.ts';

export type DriverRequest = { readonly id: number } & (
  | { readonly command: 'play'; readonly strands: number }
  | { readonly command: 'nodeDies'; readonly nodeId: string }
  | { readonly command: 'nodeDied' | 'rest' | 'leave' }
);
type Command = DriverRequest extends infer R ? (R extends unknown ? Omit<R, 'id'> : never) : never;

export interface DriverAnswer {
  /** 0: it has joined; the value is its node. */
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

const PROGRAM = fileURLToPath(new URL('./driver.js', import.meta.url));

/** The soak's side of a driver. */
export class DriverProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #waiting = new Map<number, (answer: DriverAnswer) => void>();
  #requests = 0;
  nodeId = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    child.on('message', (answer: DriverAnswer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    void this.#exited.then(() => {
      for (const [id, settle] of this.#waiting) settle({ id, error: 'the driver has ended' });
      this.#waiting.clear();
    });
  }

  static async start(address: string, seed: number): Promise<DriverProcess> {
    const driver = new DriverProcess(fork(PROGRAM, [address, String(seed)]));
    driver.nodeId = String(await driver.#answer(0));
    return driver;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async #answer(id: number): Promise<unknown> {
    const answer = await new Promise<DriverAnswer>((resolve) => this.#waiting.set(id, resolve));
    if (answer.error !== undefined) throw new Error(`driver ${this.pid}: ${answer.error}`);
    return answer.value;
  }

  #ask(command: Command): Promise<unknown> {
    this.#requests += 1;
    this.#child.send({ id: this.#requests, ...command });
    return this.#answer(this.#requests);
  }

  async play(strands: number): Promise<void> {
    await this.#ask({ command: 'play', strands });
  }

  /** Before the node is killed, so that what fails then is not taken for unexplained. */
  async nodeDies(nodeId: string): Promise<void> {
    await this.#ask({ command: 'nodeDies', nodeId });
  }

  async nodeDied(): Promise<void> {
    await this.#ask({ command: 'nodeDied' });
  }

  async rest(): Promise<PlayerReport> {
    return (await this.#ask({ command: 'rest' })) as PlayerReport;
  }

  async leave(): Promise<void> {
    await this.#ask({ command: 'leave' });
    this.#child.disconnect();
    await this.#exited;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
