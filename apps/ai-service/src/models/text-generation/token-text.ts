/** The bytes of every token of a byte-level BPE vocabulary. */
export type TokenBytes = readonly Uint8Array[];

/**
 * Byte-level BPE writes each byte as one visible character: printable Latin-1 stands for itself, the other bytes are
 * counted from U+0100 on.
 */
function byteOfCharacter(): ReadonlyMap<string, number> {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const bytes = new Map<string, number>();
  let shifted = 0x100;
  for (let byte = 0; byte <= 0xff; byte++) {
    bytes.set(String.fromCharCode(isPrintable(byte) ? byte : shifted++), byte);
  }
  return bytes;
}

/** @param tokens Every token as the vocabulary writes it, by id. */
export function tokenBytesOf(tokens: readonly string[]): TokenBytes {
  const bytes = byteOfCharacter();
  return tokens.map((token) =>
    Uint8Array.from(token, (character) => {
      const byte = bytes.get(character);
      if (byte === undefined)
        throw new Error(`Token ${JSON.stringify(token)} is not byte-level BPE`);
      return byte;
    }),
  );
}

/** Turns tokens into text as they come. A character whose bytes are spread over tokens appears with its last byte. */
export class IncrementalDetokenizer {
  readonly #tokenBytes: TokenBytes;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(tokenBytes: TokenBytes) {
    this.#tokenBytes = tokenBytes;
  }

  push(tokenId: number): string {
    const bytes = this.#tokenBytes[tokenId];
    if (bytes === undefined) throw new Error(`There is no token ${tokenId}`);
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What is left at the end: a replacement character for a character without its last bytes. */
  flush(): string {
    return this.#decoder.decode();
  }
}
