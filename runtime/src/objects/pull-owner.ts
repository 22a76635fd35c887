import { OwnerDiedError, type MantaError } from '../errors/errors.ts';
import type { BlobId, NodeId } from '../ids.ts';
import { addressFrom, addressRecord } from '../rpc/address-record.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import { decodeError } from '../serialization/error-codec.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { AskingNode, SourceFailure } from './blob-sources.ts';

export type Connect = (address: ProcessAddress) => Promise<PeerConnection>;

/** An owner whose connections break so often before it answers is as good as dead. */
const LOST_CONNECTIONS_MAX = 3;

/** Answers to a wish for a source; `onRefused` may also come later, when the owner is gone. */
export interface SourceAnswers {
  onSource(agent: ProcessAddress): void;
  onRefused(error: MantaError): void;
}

/** The owner of a blob, as a pull sees it. */
export interface PullOwner {
  /** Asks for a source, also again after `failed`. */
  source(answers: SourceAnswers): void;
  /** `reason`: what the source said. */
  failed(nodeId: NodeId, failure: SourceFailure, reason?: string): void;
  /** The pull is over; `copy`: the agent of this node, when it has the blob now. */
  ended(copy: ProcessAddress | undefined): void;
}

/**
 * The owner is another process. Its connection is watched for the whole pull: when it closes and cannot be opened
 * anew, the pull ends with OwnerDiedError at once.
 */
export class RemotePullOwner implements PullOwner {
  readonly #connect: Connect;
  readonly #address: ProcessAddress;
  readonly #blobId: BlobId;
  readonly #node: AskingNode | undefined;
  #connection: PeerConnection | undefined;
  #answers: SourceAnswers | undefined;
  #isWaiting = false;
  #isOver = false;
  #lostConnections = 0;
  #stopWatching = (): void => undefined;

  constructor(
    connect: Connect,
    address: ProcessAddress,
    blobId: BlobId,
    node: AskingNode | undefined,
  ) {
    this.#connect = connect;
    this.#address = address;
    this.#blobId = blobId;
    this.#node = node;
  }

  source(answers: SourceAnswers): void {
    this.#answers = answers;
    this.#isWaiting = true;
    if (this.#connection === undefined) this.#open();
    else this.#ask(this.#connection);
  }

  failed(nodeId: NodeId, failure: SourceFailure, reason?: string): void {
    const said = reason ?? null;
    this.#connection?.channel.send([RECORD.blobMissing, this.#blobId, nodeId, failure, said]);
  }

  ended(copy: ProcessAddress | undefined): void {
    this.#isOver = true;
    this.#stopWatching();
    const address = copy === undefined ? null : addressRecord(copy);
    this.#connection?.channel.send([RECORD.blobCopied, this.#blobId, address]);
  }

  #open(): void {
    this.#connect(this.#address).then(
      (connection) => {
        if (!this.#isOver) this.#opened(connection);
      },
      (error: unknown) => this.#refuse(ownerDied(this.#address, error)),
    );
  }

  #opened(connection: PeerConnection): void {
    if (connection.closed) {
      this.#lost(undefined);
      return;
    }
    this.#connection = connection;
    this.#stopWatching = connection.onLost((reason) => this.#lost(reason));
    if (this.#isWaiting) this.#ask(connection);
  }

  #lost(reason: MantaError | undefined): void {
    this.#connection = undefined;
    this.#lostConnections += 1;
    if (this.#lostConnections < LOST_CONNECTIONS_MAX) this.#open();
    else this.#refuse(ownerDied(this.#address, reason));
  }

  #ask(connection: PeerConnection): void {
    const call = connection.expect({
      onResult: (value) => {
        this.#isWaiting = false;
        this.#lostConnections = 0;
        if (!this.#isOver) this.#take(value);
      },
      onFailure: (encodedError) => this.#refuse(decodeError(encodedError) as MantaError),
      onStream: () => undefined,
      onItem: () => undefined,
      onEnd: () => undefined,
      onLost: () => undefined, // The connection's own listener opens it anew.
    });
    const { nodeId = null, reason = null } = this.#node ?? {};
    connection.channel.send([RECORD.blobSource, call, this.#blobId, nodeId, reason]);
  }

  #take(value: unknown): void {
    this.#answers?.onSource(addressFrom(value));
  }

  #refuse(error: MantaError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatching();
    this.#answers?.onRefused(error);
  }
}

function ownerDied(owner: ProcessAddress, cause: unknown): OwnerDiedError {
  return new OwnerDiedError(
    `The owner of an object, process ${owner.processId}, is gone or cannot be reached.`,
    { cause },
  );
}
