import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import { BlobReleases } from '@manta/runtime/core/blob-releases';
import { wordsFrom } from '@manta/runtime/core/exchange-records';
import { FETCHED } from '@manta/runtime/core/object-fetches';
import {
  MantaError,
  ObjectFreedError,
  ObjectLostError,
  ProtocolError,
} from '@manta/runtime/errors/errors';
import type { BlobId, ObjectId } from '@manta/runtime/ids';
import { blobFrom, type BlobDescriptor } from '@manta/runtime/objects/blob';
import { BlobOwner } from '@manta/runtime/objects/blob-owner';
import { storedRecord } from '@manta/runtime/objects/stored-value';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { callFrom, idFrom, idsFrom } from '@manta/runtime/rpc/record-fields';
import { RECORD } from '@manta/runtime/rpc/records';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';

export interface DurableObjectsOptions {
  clock: Clock;
  readonly agent: () => ProcessAddress;
  readonly connect: (address: ProcessAddress) => Promise<PeerConnection>;
  /** Resolves when the blob is on disk. @throws ObjectLostError ObjectStoreFullError */
  readonly save: (blobId: BlobId) => Promise<void>;
  /** Whether this node has it, in memory or on disk. */
  readonly has: (blobId: BlobId) => boolean;
  readonly release: (blobIds: readonly BlobId[]) => void;
  /** Answers a question with what `answer` resolves to. */
  readonly answer: (channel: Channel, call: number, answer: () => Promise<unknown>) => void;
}

/** A ref may be passed on before its object has been written: who asks for it waits so long. */
const WRITING_MS = 30_000;
const WAITING_MAX = 10_000;
/** Objects that are gone, so that who asks is told why. */
const GONE_REMEMBERED = 100_000;
/** Ids that one record may name. */
const IDS_MAX = 100_000;

/** Objects that outlive the process that put them: the agent owns them and has them on its disk. */
export class DurableObjects {
  readonly #options: DurableObjectsOptions;
  readonly #blobs = new Map<ObjectId, BlobDescriptor>();
  readonly #waiting = new Map<ObjectId, Set<() => void>>();
  /** Freed, lost, or never written. */
  readonly #gone = new Map<ObjectId, MantaError>();
  readonly #owner: BlobOwner;
  readonly #releases: BlobReleases;

  constructor(options: DurableObjectsOptions) {
    this.#options = options;
    this.#releases = new BlobReleases(options.clock, (agent) => options.connect(agent));
    this.#owner = new BlobOwner({
      connect: (agent) => options.connect(agent),
      release: (agent, blobId) => this.#releases.add(agent, blobId),
      onLost: (blobId, reason) => this.#lost(blobId, reason),
    });
  }

  entries(): Map<BlobId, ObjectId> {
    return new Map([...this.#blobs].map(([objectId, { blobId }]) => [blobId, objectId]));
  }

  /** Handles the records of this part; false for those of others. @throws ProtocolError */
  receive(channel: Channel, record: ChannelRecord): boolean {
    switch (record[0]) {
      case RECORD.storeDurable: {
        const [, call, id, blob] = record;
        const [objectId, descriptor] = [idFrom('object', id), blobFrom(blob)];
        this.#options.answer(channel, callFrom(call), () => this.#keep(objectId, descriptor));
        return true;
      }
      case RECORD.fetch:
        this.#fetch(channel, callFrom(record[1]), idsFrom('object', record[2], IDS_MAX));
        return true;
      case RECORD.borrow:
        // They stay until they are freed, whoever holds refs. To free twice is to free.
        for (const objectId of freedIn(record[3])) this.#free(objectId);
        channel.send([RECORD.result, callFrom(record[1]), null]);
        return true;
      default:
        return this.#owner.receive(channel, record);
    }
  }

  async #keep(objectId: ObjectId, blob: BlobDescriptor): Promise<null> {
    const { save, release, agent } = this.#options;
    try {
      await save(blob.blobId);
      // It may have been freed meanwhile.
      const gone = this.#gone.get(objectId);
      if (gone !== undefined) throw gone;
    } catch (error) {
      release([blob.blobId]);
      if (MantaError.is(error)) this.#end(objectId, error as MantaError);
      throw error;
    }
    this.#blobs.set(objectId, { ...blob, agent: agent() });
    this.#owner.sources.add({ ...blob, agent: agent() });
    this.#wake(objectId);
    return null;
  }

  /** From now on who asks for it, or waits for it, is told why it is not there. */
  #end(objectId: ObjectId, reason: MantaError): void {
    this.#blobs.delete(objectId);
    this.#gone.set(objectId, reason);
    if (this.#gone.size > GONE_REMEMBERED) {
      const [oldest] = this.#gone.keys();
      if (oldest !== undefined) this.#gone.delete(oldest);
    }
    this.#wake(objectId);
  }

  #wake(objectId: ObjectId): void {
    for (const wake of this.#waiting.get(objectId) ?? []) wake();
  }

  #lost(blobId: BlobId, reason: string): void {
    const objectId = this.entries().get(blobId);
    const blob = objectId === undefined ? undefined : this.#blobs.get(objectId);
    if (objectId === undefined || blob === undefined) return;
    // A disk that gave an error may do better the next time.
    if (this.#options.has(blobId)) return this.#owner.sources.add(blob);
    const text = `Every copy of durable object ${objectId} is lost: ${reason}.`;
    this.#end(objectId, new ObjectLostError(text));
  }

  #free(objectId: ObjectId): void {
    const blob = this.#blobs.get(objectId);
    this.#end(objectId, new ObjectFreedError(`Durable object ${objectId} was freed.`));
    if (blob === undefined) return;
    const { agent, release } = this.#options;
    for (const copy of this.#owner.sources.copies(blob.blobId))
      if (copy.processId !== agent().processId) this.#releases.add(copy, blob.blobId);
    release([blob.blobId]);
  }

  #fetch(channel: Channel, call: number, objectIds: readonly ObjectId[]): void {
    for (const [index, objectId] of objectIds.entries())
      void this.#written(objectId).then((blob) => {
        const entry =
          blob === undefined
            ? [index, FETCHED.failure, encodeError(this.#missing(objectId))]
            : [index, FETCHED.value, storedRecord(blob, this.#options.agent(), undefined)];
        channel.send([RECORD.fetched, call, [entry]]);
      });
  }

  #missing(objectId: ObjectId): MantaError {
    return (
      this.#gone.get(objectId) ??
      new ObjectLostError(`This node has no durable object ${objectId}.`)
    );
  }

  /** Undefined: it is gone, or it did not come. */
  async #written(objectId: ObjectId): Promise<BlobDescriptor | undefined> {
    const isOver = (): boolean => this.#blobs.has(objectId) || this.#gone.has(objectId);
    if (!isOver() && this.#waiting.size < WAITING_MAX) {
      await new Promise<void>((resolve) => {
        const waiters = this.#waiting.get(objectId) ?? new Set();
        this.#waiting.set(objectId, waiters);
        const wake = (): void => {
          cancel();
          waiters.delete(wake);
          if (waiters.size === 0) this.#waiting.delete(objectId);
          resolve();
        };
        const cancel = this.#options.clock.after(WRITING_MS, wake, { unref: true });
        waiters.add(wake);
      });
    }
    return this.#blobs.get(objectId);
  }
}

/** What words to an owner say is freed. @throws ProtocolError */
function freedIn(words: unknown): readonly ObjectId[] {
  const freed = wordsFrom(words).flatMap((word) => (word.kind === 'freed' ? word.ids : []));
  if (freed.length > IDS_MAX) throw new ProtocolError('A record that frees too many objects.');
  return freed;
}
