import type { BlobId } from '../ids.ts';
import type { BlobDescriptor, SlotAddress } from '../objects/blob.ts';
import type { ProcessAddress } from '../wire/messages.ts';

/** Questions to the agent at a time, which refuses many more. */
const QUESTIONS_MAX = 4_000;

type Ask = (blob: BlobDescriptor, owner: ProcessAddress) => Promise<SlotAddress>;

/** Where blobs lie on this node, from its agent. Two wishes for one blob are one question. */
export class BlobLocator {
  readonly #ask: Ask;
  readonly #locating = new Map<BlobId, Promise<SlotAddress>>();
  #open = 0;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** @throws what the agent answers, or why it could not be asked. */
  locate(blob: BlobDescriptor, owner: ProcessAddress): Promise<SlotAddress> {
    const { blobId } = blob;
    let locating = this.#locating.get(blobId);
    if (locating === undefined) {
      locating = this.#inTurn(blob, owner).finally(() => this.#locating.delete(blobId));
      this.#locating.set(blobId, locating);
    }
    return locating;
  }

  async #inTurn(blob: BlobDescriptor, owner: ProcessAddress): Promise<SlotAddress> {
    if (this.#open === QUESTIONS_MAX)
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    else this.#open += 1;
    try {
      return await this.#ask(blob, owner);
    } finally {
      this.#passOn();
    }
  }

  #passOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#open -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
