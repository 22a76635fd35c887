/**
 * Branded identifiers. An id is a one-letter kind, an underscore and 16 base-32 characters (80 random bits):
 * `a_3k9q…` is an actor. The brand keeps one kind from being passed for another at compile time, the letter at run time.
 */
declare const brand: unique symbol;
type Branded<Kind extends string> = string & { readonly [brand]: Kind };

export type ClusterId = Branded<'cluster'>;
export type NodeId = Branded<'node'>;
export type JobId = Branded<'job'>;
export type ActorId = Branded<'actor'>;
/** Any process (or worker thread) that owns objects and holds handles: a driver, an actor host, a host thread. */
export type ProcessId = Branded<'process'>;
export type ObjectId = Branded<'object'>;
/** Encoded bytes that one process stored in shared memory; an object's value may be one. Minted by who stores. */
export type BlobId = Branded<'blob'>;

export interface IdKinds {
  cluster: ClusterId;
  node: NodeId;
  job: JobId;
  actor: ActorId;
  process: ProcessId;
  object: ObjectId;
  blob: BlobId;
}
export type IdKind = keyof IdKinds;

const PREFIX: Record<IdKind, string> = {
  cluster: 'c',
  node: 'n',
  job: 'j',
  actor: 'a',
  process: 'p',
  object: 'o',
  blob: 'b',
};
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const ID_LENGTH = 16;
const SHAPE = /^[a-z]_[0-9a-hjkmnp-tv-z]{16}$/;

/** Fills the array with random bytes; injected so that a simulation can be repeated from its seed. */
export type RandomBytes = (target: Uint8Array) => void;

export type MintId = <K extends IdKind>(kind: K) => IdKinds[K];

export function createIdMint(randomBytes: RandomBytes): MintId {
  const bytes = new Uint8Array(ID_LENGTH);
  return (kind) => {
    randomBytes(bytes);
    let text = `${PREFIX[kind]}_`;
    for (const byte of bytes) text += ALPHABET[byte & 31];
    return text as never;
  };
}

/** The id when `text` is a well-formed id of this kind, else undefined. */
export function parseId<K extends IdKind>(kind: K, text: unknown): IdKinds[K] | undefined {
  if (typeof text !== 'string' || !SHAPE.test(text) || text[0] !== PREFIX[kind]) return undefined;
  return text as IdKinds[K];
}
