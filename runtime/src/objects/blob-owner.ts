import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ObjectLostError, ProtocolError, type MantaError } from '../errors/errors.ts';
import type { BlobId, ProcessId } from '../ids.ts';
import { addressFrom, addressRecord } from '../rpc/address-record.ts';
import { callFrom, idFrom, idsFrom } from '../rpc/record-fields.ts';
import { RECORD } from '../rpc/records.ts';
import { encodeError } from '../serialization/error-codec.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import { BlobSources, type FailedSource } from './blob-sources.ts';

export interface BlobOwnerOptions {
  /** A rejection means that the agent's process is gone or unreachable. */
  connect(agent: ProcessAddress): Promise<unknown>;
  /** The copy at that agent is not needed. */
  release(agent: ProcessAddress, blobId: BlobId): void;
  /** The last copy of a blob is gone; who waited for it has been told. */
  onLost(blobId: BlobId, reason: string): void;
}

/** Copies that one record may name. */
const GIVEN_UP_MAX = 100_000;
/** Characters of what a node says about a copy that are passed on. */
const REASON_MAX = 1_000;

/** The owner's answers to those who want its blobs (records blobSource, blobCopied, blobMissing, blobGiveUp). */
export class BlobOwner {
  readonly sources: BlobSources;
  readonly #options: BlobOwnerOptions;

  constructor(options: BlobOwnerOptions) {
    this.#options = options;
    this.sources = new BlobSources({
      onLost: (blobId, reason) => options.onLost(blobId, reason),
    });
  }

  /** Handles the records of this part; false for those of others. @throws ProtocolError */
  receive(channel: Channel, record: ChannelRecord): boolean {
    switch (record[0]) {
      case RECORD.blobSource:
        this.#answerSource(channel, record);
        return true;
      case RECORD.blobCopied:
        this.#noteCopied(channel.peer.processId, record);
        return true;
      case RECORD.blobGiveUp:
        this.#answerGiveUp(channel, record);
        return true;
      case RECORD.blobMissing:
        this.#noteMissing(channel.peer.processId, record);
        return true;
      default:
        return false;
    }
  }

  /** The channel of that process closed: what it pulled has ended. */
  peerGone(processId: ProcessId): void {
    this.sources.askerGone(processId);
  }

  /** `asker` could not pull from the source it had got. Also for pulls of this process itself. */
  failed(blobId: BlobId, asker: ProcessId, source: FailedSource): void {
    const { nodeId } = source;
    const suspect = this.sources.failed(blobId, asker, source);
    if (suspect === undefined) return;
    this.#options.connect(suspect).then(
      () => this.sources.probed(blobId, asker, nodeId),
      // An agent that its peers and the owner cannot reach serves nobody: to them its node is gone.
      () => this.sources.nodeDied(nodeId),
    );
  }

  #answerSource(channel: Channel, record: ChannelRecord): void {
    const call = callFrom(record[1]);
    const blobId = idFrom('blob', record[2]);
    const [, , , nodeId, reason] = record;
    const node =
      nodeId === null ? undefined : { nodeId: idFrom('node', nodeId), reason: reasonOf(reason) };
    this.sources.source(blobId, channel.peer.processId, node, {
      onSource: (agent) => channel.send([RECORD.result, call, addressRecord(agent)]),
      onLost: (reason) =>
        channel.send([RECORD.failure, call, encodeError(blobLost(blobId, reason))]),
    });
  }

  #noteCopied(asker: ProcessId, record: ChannelRecord): void {
    const blobId = idFrom('blob', record[1]);
    if (record[2] === null) {
      this.sources.ended(blobId, asker);
      return;
    }
    const agent = addressFrom(record[2]);
    if (agent.processId !== asker || agent.nodeId === undefined)
      throw new ProtocolError('A process may tell of a copy on its own node only.');
    if (this.sources.copied(blobId, asker, agent)) return;
    // Freed meanwhile: nobody else will tell that node.
    this.#options.release(agent, blobId);
  }

  #answerGiveUp(channel: Channel, record: ChannelRecord): void {
    const call = callFrom(record[1]);
    const blobIds = idsFrom('blob', record[2], GIVEN_UP_MAX);
    const { processId } = channel.peer;
    const givenUp = blobIds.filter((id) => this.sources.giveUp(id, processId));
    channel.send([RECORD.result, call, givenUp]);
  }

  #noteMissing(sender: ProcessId, record: ChannelRecord): void {
    const blobId = idFrom('blob', record[1]);
    const nodeId = idFrom('node', record[2]);
    const [, , , failure, said] = record;
    if (failure !== 'missing' && failure !== 'unreachable')
      throw new ProtocolError('A blob is missing or unreachable, nothing else.');
    const isOwnCopy = this.sources
      .copies(blobId)
      .some((agent) => agent.nodeId === nodeId && agent.processId === sender);
    const reason = reasonOf(said);
    if (isOwnCopy) this.sources.missing(blobId, nodeId, reason);
    else this.failed(blobId, sender, { nodeId, failure, reason });
  }
}

export function blobLost(blobId: BlobId, reason: string, cause?: MantaError): ObjectLostError {
  const text = `The value of an object (blob ${blobId}) is lost: ${reason}.`;
  return new ObjectLostError(text, cause === undefined ? undefined : { cause });
}

const reasonOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value.slice(0, REASON_MAX) : undefined;
