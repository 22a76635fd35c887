import { parseId, type BlobId, type ProcessId } from '@manta/runtime/ids';
import { ask } from '@manta/runtime/rpc/ask';
import type { PeerConnection } from '@manta/runtime/rpc/peer-connection';
import { RECORD } from '@manta/runtime/rpc/records';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { BlobEntry, BlobTable, Freed } from './blob-table.ts';

export interface UnneededCopiesOptions {
  readonly table: BlobTable;
  readonly connect: (address: ProcessAddress) => Promise<PeerConnection>;
  readonly free: (freed: Freed) => void;
}

/** Frees what was pulled here and lies elsewhere, too. Only the owner knows whether it does. */
export class UnneededCopies {
  readonly #options: UnneededCopiesOptions;

  constructor(options: UnneededCopiesOptions) {
    this.#options = options;
  }

  /** How many bytes were freed. What an owner does not let go, or who cannot be asked, stays. */
  async free(copies: readonly BlobEntry[]): Promise<number> {
    const byOwner = new Map<ProcessId, BlobEntry[]>();
    for (const copy of copies) {
      const others = byOwner.get(copy.owner);
      if (others === undefined) byOwner.set(copy.owner, [copy]);
      else others.push(copy);
    }
    const freed = await Promise.all([...byOwner.values()].map((own) => this.#freeOf(own)));
    return freed.reduce((sum, bytes) => sum + bytes, 0);
  }

  async #freeOf(copies: readonly BlobEntry[]): Promise<number> {
    const { table, free } = this.#options;
    const mayGo = await this.#askOwner(copies);
    // An owner that lets a copy go tells nobody any more when it frees the object, so a late answer counts, too.
    const going = copies.filter(
      (copy) => mayGo.has(copy.blobId) && table.get(copy.blobId) === copy,
    );
    free(table.release(going.map(({ blobId }) => blobId)));
    return going.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  async #askOwner(copies: readonly BlobEntry[]): Promise<Set<BlobId | undefined>> {
    const address = copies[0]?.ownerAddress;
    if (address === undefined) return new Set();
    const blobIds = copies.map(({ blobId }) => blobId);
    try {
      const answer = await ask(await this.#options.connect(address), RECORD.blobGiveUp, blobIds);
      return new Set(Array.isArray(answer) ? answer.map((id) => parseId('blob', id)) : []);
    } catch {
      // Whether the owner lives is watched elsewhere.
      return new Set();
    }
  }
}
