import { isUnavailable } from '@manta/runtime/core/while-unavailable';
import type { NodeId } from '@manta/runtime/ids';
import type { Clock } from '@manta/runtime/time/clock';
import type { NodeRegisterInput, NodeRegisterReply } from '@manta/runtime/wire/messages';
import { Backoff } from './backoff.ts';

const RETRY_FIRST_MS = 25;
const RETRY_MAX_MS = 1_000;

export interface RegistrationOptions {
  clock: Clock;
  /** What the node is at this moment. */
  describe(): NodeRegisterInput;
  send(message: NodeRegisterInput): Promise<NodeRegisterReply>;
  /** The head accepted the node. */
  onAccepted(reply: NodeRegisterReply): void;
  /** The head has declared this node dead: from here on `describe` gives a new one without actors. */
  onRefused(nodeId: NodeId, reason: string): void;
  onFailed(error: unknown): void;
}

/**
 * Registers, and registers again whenever `request` is called: after a start of the head, after a loss of the
 * connection, and when the head does not take what this node says. Asked while an attempt runs, it makes one more.
 */
export class Registration {
  private readonly options: RegistrationOptions;
  private readonly backoff = new Backoff(RETRY_FIRST_MS, RETRY_MAX_MS);
  private running = false;
  private again = false;
  private closed = false;
  private cancelWait: (() => void) | undefined;

  constructor(options: RegistrationOptions) {
    this.options = options;
  }

  /** One attempt until accepted, for the start. @throws MantaError what the head answered, or when none answered. */
  async first(deadlineMs: number): Promise<void> {
    for (;;) {
      try {
        if (await this.attempt()) return;
      } catch (error) {
        if (!isUnavailable(error) || this.options.clock.now() >= deadlineMs) throw error;
      }
      await this.wait();
    }
  }

  request(): void {
    this.again = true;
    // There is news: the wait after a failed attempt ends too.
    this.cancelWait?.();
    if (!this.running) void this.run();
  }

  close(): void {
    this.closed = true;
    this.cancelWait?.();
  }

  private async run(): Promise<void> {
    this.running = true;
    while (this.again && !this.closed) {
      this.again = false;
      try {
        if (!(await this.attempt())) this.again = true;
      } catch (error) {
        if (this.closed) break;
        this.options.onFailed(error);
        this.again = true;
      }
      if (this.again) await this.wait();
    }
    this.running = false;
  }

  /** False when the head refused. */
  private async attempt(): Promise<boolean> {
    const message = this.options.describe();
    const reply = await this.options.send(message);
    if (this.closed) return true;
    if (reply.refused !== undefined) {
      this.options.onRefused(message.nodeId, reply.refused);
      return false;
    }
    this.backoff.reset();
    this.options.onAccepted(reply);
    return true;
  }

  private wait(): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        this.cancelWait = undefined;
        cancel();
        resolve();
      };
      const cancel = this.options.clock.after(this.backoff.next(), finish);
      this.cancelWait = finish;
    });
  }
}
