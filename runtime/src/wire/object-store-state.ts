import * as v from 'valibot';
import { count } from './schema-parts.ts';

/** What the object store of a node holds, in bytes. */
export const ObjectStoreState = v.object({
  /** 'files': shared memory is missing there, or too small. */
  kind: v.picklist(['memory', 'files']),
  limitBytes: count,
  /** Of the segments in memory, free pages included. */
  usedBytes: count,
  /** Moved to disk, now. */
  diskBytes: count,
  /** Since the node's start: written to disk, read back, and blobs that left memory. */
  spilledBytes: count,
  restoredBytes: count,
  evictions: count,
});
export type ObjectStoreState = v.InferOutput<typeof ObjectStoreState>;
