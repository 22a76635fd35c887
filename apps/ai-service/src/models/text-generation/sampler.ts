export interface SamplingOptions {
  /** 0 takes the likeliest token. */
  temperature: number;
  /** Above 0 to 1. */
  topP: number;
}

/** The tokens to draw from: all heavier than `weight`, and of those that weigh just that the first `ties`. */
interface Cutoff {
  weight: number;
  ties: number;
  /** Weight of the tokens to draw from. */
  total: number;
}

/**
 * Chooses the next token from the logits of all tokens. Runs for every token of every stream, hence the plain loops.
 *
 * @param random Gives numbers in [0, 1).
 */
export function sampleToken(
  logits: Float32Array,
  { temperature, topP }: SamplingOptions,
  random: () => number,
): number {
  const likeliest = indexOfGreatest(logits);
  if (temperature === 0) return likeliest;
  const weights = temperedWeights(logits, logits[likeliest] ?? 0, temperature);
  return draw(weights, topP < 1 ? nucleusCutoff(weights, topP) : noCutoff(weights), random());
}

/** The lowest of equals, so that the greedy choice is always the same. */
function indexOfGreatest(logits: Float32Array): number {
  let best = 0;
  let greatest = -Infinity;
  for (let tokenId = 0; tokenId < logits.length; tokenId++) {
    const logit = logits[tokenId] ?? -Infinity;
    if (logit <= greatest) continue;
    greatest = logit;
    best = tokenId;
  }
  return best;
}

/** Probabilities up to a common factor; the likeliest token has weight 1, so nothing overflows. */
function temperedWeights(
  logits: Float32Array,
  greatest: number,
  temperature: number,
): Float64Array {
  const weights = new Float64Array(logits.length);
  for (let tokenId = 0; tokenId < logits.length; tokenId++) {
    weights[tokenId] = Math.exp(((logits[tokenId] ?? -Infinity) - greatest) / temperature);
  }
  return weights;
}

function noCutoff(weights: Float64Array): Cutoff {
  return { weight: -1, ties: 0, total: sum(weights) };
}

/** Keeps the likeliest tokens that together just reach the share `topP`: at least one. */
function nucleusCutoff(weights: Float64Array, topP: number): Cutoff {
  const ascending = weights.slice().sort();
  const share = topP * sum(weights);
  const cutoff: Cutoff = { weight: 0, ties: 0, total: 0 };
  for (let index = ascending.length - 1; index >= 0 && cutoff.total < share; index--) {
    const weight = ascending[index] ?? 0;
    cutoff.ties = weight === cutoff.weight ? cutoff.ties + 1 : 1;
    cutoff.weight = weight;
    cutoff.total += weight;
  }
  return cutoff;
}

function draw(weights: Float64Array, cutoff: Cutoff, random: number): number {
  let rest = random * cutoff.total;
  let { ties } = cutoff;
  let drawn = 0;
  for (let tokenId = 0; tokenId < weights.length; tokenId++) {
    const weight = weights[tokenId] ?? 0;
    const isTie = weight === cutoff.weight;
    if (weight < cutoff.weight || (isTie && ties-- <= 0)) continue;
    drawn = tokenId;
    rest -= weight;
    if (rest < 0) break;
  }
  // Rounding may leave a tiny rest after the last token: then it is the last one.
  return drawn;
}

function sum(weights: Float64Array): number {
  let total = 0;
  for (let index = 0; index < weights.length; index++) total += weights[index] ?? 0;
  return total;
}
