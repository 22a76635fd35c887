import { createCipheriv, type CipherGCM } from 'node:crypto';

/** Known to all: the checksum finds what was changed by accident, not by somebody. */
const KEY = new Uint8Array(16);
const NONCE = new Uint8Array(12);

/**
 * The checksum of a chunk of a blob on its way between nodes: the first 32 bits of the AES-GCM tag of its bytes, which
 * processors compute three times as fast as Node.js's CRC-32.
 */
export class ChunkChecksum {
  readonly #cipher: CipherGCM = createCipheriv('aes-128-gcm', KEY, NONCE);

  /** What follows after what came before; `bytes` is not kept. */
  update(bytes: Uint8Array): this {
    this.#cipher.setAAD(bytes);
    return this;
  }

  /** Of all, once. */
  value(): number {
    this.#cipher.final();
    return this.#cipher.getAuthTag().readUInt32LE(0);
  }
}
