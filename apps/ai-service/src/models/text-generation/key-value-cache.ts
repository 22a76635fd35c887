/** What all caches of one model have in common. */
export interface KeyValueLayout {
  /** Keys and values of all layers: twice the number of layers. */
  tensorCount: number;
  heads: number;
  headSize: number;
}

/**
 * Keys and values of the tokens that a batch of sequences has so far. Every tensor is `[rows, heads, width, headSize]`;
 * sequences shorter than `width` are padded on the left, so that the next token is the last column of all.
 */
export interface KeyValueCache {
  /** Tokens of each row. */
  lengths: readonly number[];
  width: number;
  tensors: readonly Float32Array[];
}

/** One sequence's place in a cache. */
export interface CacheRow {
  cache: KeyValueCache;
  row: number;
}

export function emptyCacheRow({ tensorCount }: KeyValueLayout): CacheRow {
  const tensors = Array.from({ length: tensorCount }, () => new Float32Array(0));
  return { cache: { lengths: [0], width: 0, tensors }, row: 0 };
}

/** One cache of these rows in this order. The rows' own cache is taken as it is when that is what it holds already. */
export function gatherRows(rows: readonly CacheRow[], layout: KeyValueLayout): KeyValueCache {
  const first = rows[0]?.cache;
  const isWhole =
    first?.lengths.length === rows.length &&
    rows.every(({ cache, row }, index) => cache === first && row === index);
  if (first !== undefined && isWhole) return first;
  const lengths = rows.map(({ cache, row }) => cache.lengths[row] ?? 0);
  const width = Math.max(0, ...lengths);
  const tensors = Array.from({ length: layout.tensorCount }, (_, tensor) =>
    gatherTensor(rows, tensor, width, layout),
  );
  return { lengths, width, tensors };
}

function gatherTensor(
  rows: readonly CacheRow[],
  tensor: number,
  width: number,
  { heads, headSize }: KeyValueLayout,
): Float32Array {
  const gathered = new Float32Array(rows.length * heads * width * headSize);
  for (const [target, { cache, row }] of rows.entries()) {
    const source = cache.tensors[tensor] ?? new Float32Array(0);
    const length = cache.lengths[row] ?? 0;
    for (let head = 0; head < heads; head++) {
      const sourceEnd = (row * heads + head + 1) * cache.width * headSize;
      const targetEnd = (target * heads + head + 1) * width * headSize;
      const columns = source.subarray(sourceEnd - length * headSize, sourceEnd);
      gathered.set(columns, targetEnd - columns.length);
    }
  }
  return gathered;
}
