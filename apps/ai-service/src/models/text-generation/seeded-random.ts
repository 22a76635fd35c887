/**
 * Random numbers from 0 (included) to 1 (excluded) that depend on the seed alone: the "small fast counter" generator
 * with 128 bits of state.
 *
 * @param seed Any safe integer, negative ones too.
 */
export function seededRandom(seed: number): () => number {
  let a = 0;
  let b = Math.trunc(seed / 2 ** 32) | 0;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return (result >>> 0) / 2 ** 32;
  };
  // The first numbers of similar seeds are similar; the generator's author advises to drop them.
  for (let round = 0; round < 15; round++) next();
  return next;
}
