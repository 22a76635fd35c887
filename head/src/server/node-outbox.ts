import { MantaError } from '@manta/runtime/errors/errors';
import type { NodeId } from '@manta/runtime/ids';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';
import { Acknowledgement, type NodeCommand } from '@manta/runtime/wire/messages';
import type { HeadLogger } from './head-logger.ts';

export interface NodeOutboxOptions {
  readonly nodeId: NodeId;
  readonly subject: string;
  readonly epoch: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly logger: HeadLogger;
  readonly timeoutMs: number;
}

/** In one request; the rest follows when it is acknowledged. */
const COMMANDS_MAX = 1_000;
const BYTES_MAX = 2 * 1024 * 1024;
/** What a command takes beside the constructor's arguments, roughly. */
const COMMAND_BYTES = 1_024;
const FIRST_RETRY_MS = 25;
const LONGEST_RETRY_MS = 1_000;

/** Commands to one node, in order, one request under way, each sent again until it is acknowledged or the node dead. */
export class NodeOutbox {
  readonly #options: NodeOutboxOptions;
  #queue: NodeCommand[] = [];
  #isSending = false;
  #isClosed = false;
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry: (() => void) | undefined;

  constructor(options: NodeOutboxOptions) {
    this.#options = options;
  }

  send(commands: readonly NodeCommand[]): void {
    this.#queue.push(...commands);
    this.#pump();
  }

  /** The node said something: no need to wait for the next attempt. */
  hurry(): void {
    this.#retryMs = FIRST_RETRY_MS;
    if (this.#cancelRetry === undefined) return;
    this.#cancelRetry();
    this.#cancelRetry = undefined;
    this.#pump();
  }

  close(): void {
    this.#isClosed = true;
    this.#queue = [];
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  #pump(): void {
    if (this.#isSending || this.#isClosed || this.#queue.length === 0) return;
    if (this.#cancelRetry !== undefined) return;
    this.#isSending = true;
    const batch = this.#nextBatch();
    this.#request(batch).then(
      () => {
        this.#isSending = false;
        this.#retryMs = FIRST_RETRY_MS;
        if (!this.#isClosed) this.#queue.splice(0, batch.length);
        this.#pump();
      },
      (error: unknown) => {
        this.#isSending = false;
        this.#retryLater(error);
      },
    );
  }

  async #request(commands: readonly NodeCommand[]): Promise<void> {
    const { transport, subject, epoch, timeoutMs } = this.#options;
    const reply = await transport.request(subject, encodeControl({ epoch, commands }), {
      timeoutMs,
    });
    decodeControl(Acknowledgement, reply);
  }

  #nextBatch(): NodeCommand[] {
    let bytes = 0;
    const batch: NodeCommand[] = [];
    for (const command of this.#queue) {
      bytes +=
        COMMAND_BYTES + (command.type === 'start-actor' ? command.spec.encodedArgs.length : 0);
      if (batch.length > 0 && (bytes > BYTES_MAX || batch.length >= COMMANDS_MAX)) break;
      batch.push(command);
    }
    return batch;
  }

  #retryLater(error: unknown): void {
    if (this.#isClosed) return;
    const { clock, logger, nodeId } = this.#options;
    const level = MantaError.is(error, 'ClusterUnavailableError') ? 'debug' : 'warn';
    logger[level](
      { nodeId, error: String(error), retryMs: this.#retryMs },
      'node did not take its commands',
    );
    this.#cancelRetry = clock.after(
      this.#retryMs,
      () => {
        this.#cancelRetry = undefined;
        this.#pump();
      },
      { unref: true },
    );
    this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 2);
  }
}
