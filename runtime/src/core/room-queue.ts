import { ObjectStoreFullError } from '../errors/errors.ts';
import type { BlobDescriptor } from '../objects/blob.ts';
import type { ProcessAddress } from '../wire/messages.ts';

/** A blob that is not stored yet, or of which the agent does not know yet. */
export interface PendingBlob {
  /** Undefined: given up before it was stored. */
  readonly blob: Promise<BlobDescriptor | undefined>;
  /** What waits for room; undefined: it has been stored. */
  readonly bytes: Uint8Array | undefined;
  /** Nobody needs it any more: it makes room for others that wait. */
  giveUp(): void;
}

export interface WaitingBytes {
  readonly bytes: Uint8Array;
  readonly owner: ProcessAddress | undefined;
  /** Nobody needs them any more. */
  isGivenUp: boolean;
}

export interface RoomQueueOptions {
  /** Undefined: given up meanwhile. */
  store(entry: WaitingBytes): Promise<BlobDescriptor | undefined>;
  /** One more / one fewer value waits for room: keeps the process alive meanwhile. */
  callStarted(): void;
  callFinished(): void;
}

interface Entry extends WaitingBytes {
  resolve(blob: BlobDescriptor | undefined): void;
  reject(error: unknown): void;
}

/** Values that wait in the heap for room in the store, one after another. */
export class RoomQueue {
  readonly #options: RoomQueueOptions;
  readonly #entries: Entry[] = [];
  #waitingBytes = 0;
  #isPumping = false;

  constructor(options: RoomQueueOptions) {
    this.#options = options;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * `bytes` must not change.
   * @throws ObjectStoreFullError when more than `limitBytes` would wait, and something does already.
   */
  add(bytes: Uint8Array, owner: ProcessAddress | undefined, limitBytes: number): PendingBlob {
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes.byteLength > limitBytes) {
      throw new ObjectStoreFullError(
        `The object store of this node has no room, and values of ${this.#waitingBytes} bytes wait for it already. ` +
          'Await some of the refs before you put more, drop refs, or give the node a larger object store.',
      );
    }
    this.#waitingBytes += bytes.byteLength;
    this.#options.callStarted();
    let giveUp = (): void => undefined;
    const blob = new Promise<BlobDescriptor | undefined>((resolve, reject) => {
      const entry: Entry = { bytes, owner, isGivenUp: false, resolve, reject };
      this.#entries.push(entry);
      giveUp = () => this.#giveUp(entry);
    });
    if (!this.#isPumping) void this.#pump();
    return { blob, bytes, giveUp };
  }

  #giveUp(entry: Entry): void {
    const index = this.#entries.indexOf(entry);
    if (index < 0 || entry.isGivenUp) return;
    entry.isGivenUp = true;
    this.#ended(entry);
    // The first is being stored just now, and leaves by itself.
    if (index === 0) return;
    this.#entries.splice(index, 1);
    entry.resolve(undefined);
  }

  #ended({ bytes }: Entry): void {
    this.#waitingBytes -= bytes.byteLength;
    this.#options.callFinished();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    for (let entry = this.#entries[0]; entry !== undefined; entry = this.#entries[0]) {
      try {
        entry.resolve(await this.#options.store(entry));
      } catch (error) {
        entry.reject(error);
      }
      this.#entries.shift();
      if (!entry.isGivenUp) this.#ended(entry);
    }
    this.#isPumping = false;
  }
}
