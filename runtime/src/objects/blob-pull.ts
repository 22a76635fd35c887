import { ClusterUnavailableError, MantaError, ProtocolError } from '../errors/errors.ts';
import type { ChunkSink, PeerConnection, PendingReply } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import { decodeError } from '../serialization/error-codec.ts';
import type { Clock } from '../time/clock.ts';
import { LIMITS } from '../wire/limits.ts';
import { slotRecord, type BlobDescriptor } from './blob.ts';
import { blobLost } from './blob-owner.ts';
import type { ByteBudget } from './byte-budget.ts';
import { ChunkChecksum } from './chunk-checksum.ts';
import type { Connect, PullOwner } from './pull-owner.ts';
import { PullPlan, type Chunk, type PullEffect, type PullEvent } from './pull-plan.ts';

/** Where pulled bytes go; every byte is written, in any order, before the pull ends well. */
export interface BlobSink {
  /** `bytes` is not kept: it may be used anew after the call. */
  write(offset: number, bytes: Uint8Array): void;
}

export interface PullLimits {
  /**
   * Default 1 MiB, which stays in a processor's cache from reading to sending; sources refuse more than
   * `LIMITS.blobChunkBytes`.
   */
  readonly chunkBytes: number;
  /** Chunks of one pull under way, default 32. */
  readonly windowChunks: number;
  /** A source that was asked and sends nothing for so long is given up, default 30 s. */
  readonly stallTimeoutMs: number;
  /** Corrupt chunks of one source before it is given up, default 3. */
  readonly corruptChunksMax: number;
}

export const PULL_LIMITS: PullLimits = {
  chunkBytes: 1024 * 1024,
  windowChunks: 32,
  stallTimeoutMs: 30_000,
  corruptChunksMax: 3,
};

export interface BlobPullOptions {
  readonly blob: BlobDescriptor;
  readonly owner: PullOwner;
  readonly sink: BlobSink;
  /** Shared by all pulls of the process: bytes asked for that have not come. */
  readonly budget: ByteBudget;
  readonly clock: Clock;
  readonly limits?: Partial<PullLimits>;
  connect: Connect;
  /** Told of each chunk that came: for counters. */
  onChunk?(bytes: number, isSound: boolean): void;
}

/**
 * Pulls one blob from the copies that its owner names, piece by piece, each with a checksum. Where the pull stands is
 * decided by PullPlan; this class carries it out.
 * @throws ObjectLostError no copy is left. OwnerDiedError the owner is gone.
 */
export function pullBlob(options: BlobPullOptions): Promise<void> {
  return new Promise((resolve, reject) => new BlobPull(options, resolve, reject).run());
}

const OWNER_FAILURES_MAX = 3;
/** Of all pulls together; a source takes no more than `LIMITS.blobRequests` at a time, however small. */
const REQUESTS_MAX = LIMITS.blobRequests / 2;

type RequestEffect = Extract<PullEffect, { type: 'request' }>;
type GiveUpEffect = Extract<PullEffect, { type: 'give-up-source' }>;

/** A request that waits for room in the budget, or for its bytes. */
interface Request {
  readonly chunk: Chunk;
  cancel(): void;
}

class BlobPull {
  readonly #options: BlobPullOptions;
  readonly #limits: PullLimits;
  readonly #plan: PullPlan;
  readonly #resolve: () => void;
  readonly #reject: (error: MantaError) => void;
  readonly #requests = new Map<number, Request>();
  #connection: Promise<PeerConnection> | undefined;
  /** Times that the owner itself failed as the source. */
  #ownerFailures = 0;
  /** Requests that the source has got and not answered. */
  #sent = 0;
  /** When bytes last came, or were first asked for after a pause. */
  #heardAtMs = 0;
  /** The attempt whose stalls are looked for. */
  #watched = 0;
  #cancelStall = (): void => undefined;

  constructor(options: BlobPullOptions, resolve: () => void, reject: (error: MantaError) => void) {
    this.#options = options;
    this.#limits = { ...PULL_LIMITS, ...options.limits };
    this.#plan = new PullPlan({ sizeBytes: options.blob.sizeBytes, ...this.#limits });
    this.#resolve = resolve;
    this.#reject = reject;
  }

  run(): void {
    this.#apply({ type: 'start' });
  }

  #apply(event: PullEvent): void {
    for (const effect of this.#plan.step(event)) this.#execute(effect);
  }

  #execute(effect: PullEffect): void {
    switch (effect.type) {
      case 'ask-source':
        this.#options.owner.source({
          onSource: (agent) => this.#apply({ type: 'source', agent }),
          onRefused: (error) => this.#apply({ type: 'refused', error }),
        });
        return;
      case 'request':
        this.#request(effect);
        return;
      case 'give-up-source':
        this.#dropSource();
        this.#sourceFailed(effect);
        return;
      case 'finished':
        this.#dropSource();
        this.#resolve();
        return;
      case 'failed':
        this.#dropSource();
        this.#reject(effect.error);
        return;
    }
  }

  /** The owner strikes off a node that fails us; from its own heap it can but send the bytes. */
  #sourceFailed({ agent, failure, reason }: GiveUpEffect): void {
    const { owner, blob } = this.#options;
    if (agent.nodeId !== undefined) {
      owner.failed(agent.nodeId, failure, reason);
      return;
    }
    this.#ownerFailures += 1;
    if (this.#ownerFailures < OWNER_FAILURES_MAX) return;
    const said = reason === undefined ? '' : ` (${reason})`;
    const loss = `its owner, which has it, failed to send it ${OWNER_FAILURES_MAX} times${said}`;
    this.#apply({ type: 'refused', error: blobLost(blob.blobId, loss) });
  }

  #request(effect: RequestEffect): void {
    const { chunk } = effect;
    const { budget } = this.#options;
    this.#connection ??= this.#options.connect(effect.agent);
    const connecting = this.#connection;
    const request: Request = {
      chunk,
      cancel: budget.take(this.#costOf(chunk), () => {
        // It may be granted before `take` has returned.
        queueMicrotask(() => {
          if (this.#requests.get(chunk.index) !== request) budget.release(this.#costOf(chunk));
          else void this.#send(effect, connecting, request);
        });
      }),
    };
    this.#requests.set(chunk.index, request);
  }

  /** What a chunk takes of the budget, in bytes. */
  #costOf({ bytes }: Chunk): number {
    return Math.max(bytes, this.#options.budget.limitBytes / REQUESTS_MAX);
  }

  async #send(
    { attempt, agent, chunk }: RequestEffect,
    connecting: Promise<PeerConnection>,
    request: Request,
  ): Promise<void> {
    const { budget, blob } = this.#options;
    request.cancel = () => budget.release(this.#costOf(chunk));
    try {
      const connection = await connecting;
      if (this.#requests.get(chunk.index) !== request) return;
      if (connection.closed) throw new ClusterUnavailableError('the source is gone');
      const call = connection.expect(this.#replyTo(attempt, request));
      request.cancel = () => {
        connection.forget(call);
        budget.release(this.#costOf(chunk));
      };
      if (this.#sent === 0) this.#heardAtMs = this.#options.clock.now();
      this.#sent += 1;
      if (this.#watched !== attempt) this.#watchStall(attempt);
      // Only the node that made the descriptor can use its slot.
      const isMaker = agent.nodeId === blob.agent.nodeId && blob.slot !== undefined;
      const slot = isMaker ? slotRecord(blob.slot) : null;
      const { offset, bytes } = chunk;
      connection.channel.send([RECORD.blobPull, call, blob.blobId, offset, bytes, slot]);
    } catch {
      this.#apply({ type: 'source-failed', attempt, failure: 'unreachable' });
    }
  }

  #replyTo(attempt: number, request: Request): PendingReply {
    return {
      onChunk: (bytes, checksum) => {
        const sink = this.#sinkOf(attempt, request, bytes.byteLength);
        sink.write(bytes);
        sink.end(checksum);
      },
      chunkSink: (bytes) => this.#sinkOf(attempt, request, bytes),
      onFailure: (encodedError) => {
        const reason = decodeError(encodedError).message;
        this.#apply({ type: 'source-failed', attempt, failure: 'missing', reason });
      },
      onLost: () => this.#apply({ type: 'source-failed', attempt, failure: 'unreachable' }),
      onResult: notAChunk,
      onStream: notAChunk,
      onItem: notAChunk,
      onEnd: notAChunk,
    };
  }

  /** Bytes go to their place at once, and count when their checksum is right; an abandoned request writes no more. */
  #sinkOf(attempt: number, request: Request, bytes: number): ChunkSink {
    const { chunk } = request;
    const isWanted = (): boolean => this.#requests.get(chunk.index) === request;
    const fits = bytes === chunk.bytes;
    let at = 0;
    const checksum = new ChunkChecksum();
    return {
      write: (piece) => {
        this.#heardAtMs = this.#options.clock.now();
        if (!fits || !isWanted()) return;
        checksum.update(piece);
        this.#write(chunk.offset + at, piece);
        at += piece.byteLength;
      },
      end: (expected) => {
        if (isWanted()) this.#came(attempt, request, fits && checksum.value() === expected);
      },
    };
  }

  #came(attempt: number, { chunk }: Request, isSound: boolean): void {
    this.#requests.delete(chunk.index);
    this.#sent -= 1;
    this.#options.budget.release(this.#costOf(chunk));
    this.#options.onChunk?.(chunk.bytes, isSound);
    this.#apply({ type: 'chunk', attempt, index: chunk.index, isSound });
  }

  #write(offset: number, bytes: Uint8Array): void {
    try {
      this.#options.sink.write(offset, bytes);
    } catch (error) {
      const reason = MantaError.is(error)
        ? (error as MantaError)
        : new MantaError(`A pulled value could not be written: ${String(error)}`, { cause: error });
      this.#apply({ type: 'refused', error: reason });
    }
  }

  /** From the first request to a source on. Only while bytes were asked for: waiting for the budget is no fault of it. */
  #watchStall(attempt: number): void {
    this.#cancelStall();
    this.#watched = attempt;
    const { clock } = this.#options;
    const { stallTimeoutMs } = this.#limits;
    const check = (): void => {
      const silentMs = this.#sent === 0 ? 0 : clock.now() - this.#heardAtMs;
      if (silentMs >= stallTimeoutMs)
        this.#apply({ type: 'source-failed', attempt, failure: 'unreachable' });
      else this.#cancelStall = clock.after(stallTimeoutMs - silentMs, check, { unref: true });
    };
    check();
  }

  #dropSource(): void {
    this.#cancelStall();
    this.#connection = undefined;
    this.#sent = 0;
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of requests) request.cancel();
  }
}

function notAChunk(): never {
  throw new ProtocolError('A request for a chunk was answered by something else.');
}
