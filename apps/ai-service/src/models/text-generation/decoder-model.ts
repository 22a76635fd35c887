import type { KeyValueCache, KeyValueLayout } from './key-value-cache.ts';

export interface ForwardResult {
  /** Of each row's last token: the logits of what may follow it. */
  logits: readonly Float32Array[];
  /** The cache that was given, with the new tokens. */
  cache: KeyValueCache;
}

/** A language model with a key-value cache. */
export interface DecoderModel {
  readonly layout: KeyValueLayout;
  /** Appends `tokenIds` (one list per row of the cache, all equally long, at least one token). */
  forward(tokenIds: readonly (readonly number[])[], cache: KeyValueCache): Promise<ForwardResult>;
}
