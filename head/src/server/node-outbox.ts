import { MantaError } from '@manta/runtime/errors/errors';
import type { NodeId } from '@manta/runtime/ids';
import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import { NobodyListensError } from '@manta/runtime/transport/nobody-listens';
import type { Transport } from '@manta/runtime/transport/transport';
import { Acknowledgement, type NodeCommand } from '@manta/runtime/wire/messages';
import { messageBytes } from '@manta/runtime/wire/message-size';
import type { HeadLogger } from './head-logger.ts';

export interface NodeOutboxOptions {
  readonly nodeId: NodeId;
  readonly subject: string;
  readonly epoch: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly logger: HeadLogger;
  readonly timeoutMs: number;
  /** Nobody listens at the node, or nobody has answered for a while: it may be gone. */
  readonly onDoubt: () => void;
}

/** In one request; the rest follows when it is acknowledged. */
const COMMANDS_MAX = 1_000;
const BYTES_MAX = 2 * 1024 * 1024;
/** An agent acknowledges what it has got before it acts. */
const DOUBT_AFTER_MS = 200;
const FIRST_RETRY_MS = 25;
const LONGEST_RETRY_MS = 1_000;

/** Commands to one node, in order, one request under way, each sent again until it is acknowledged or the node dead. */
export class NodeOutbox {
  readonly #options: NodeOutboxOptions;
  #queue: NodeCommand[] = [];
  #isSending = false;
  #isClosed = false;
  #retryMs = FIRST_RETRY_MS;
  /** Of the queue's first: those that were sent, and of which nobody has said that none listened. */
  #maybeHeard = 0;
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

  /** What the node cannot have heard of, in order. */
  get unheard(): readonly NodeCommand[] {
    return this.#queue.slice(this.#maybeHeard);
  }

  /** Some of `unheard` are not to be sent any more. */
  withdraw(commands: ReadonlySet<NodeCommand>): void {
    this.#queue = this.#queue.filter((command) => !commands.has(command));
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
    const wasMaybeHeard = this.#maybeHeard;
    this.#maybeHeard = Math.max(wasMaybeHeard, batch.length);
    const { clock, onDoubt } = this.#options;
    const cancelDoubt = clock.after(DOUBT_AFTER_MS, onDoubt, { unref: true });
    this.#request(batch).then(
      () => {
        cancelDoubt();
        this.#isSending = false;
        this.#retryMs = FIRST_RETRY_MS;
        this.#maybeHeard = Math.max(0, this.#maybeHeard - batch.length);
        if (!this.#isClosed) this.#queue.splice(0, batch.length);
        this.#pump();
      },
      (error: unknown) => {
        cancelDoubt();
        this.#isSending = false;
        this.#retryLater(error);
        if (!(error instanceof NobodyListensError) || this.#isClosed) return;
        this.#maybeHeard = wasMaybeHeard;
        onDoubt();
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
      bytes += messageBytes(command);
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
