export interface SamplingOptions {
  /** 0 takes the likeliest token. */
  temperature: number;
  /** Above 0 to 1. */
  topP: number;
}

/** Chooses the next token from the logits of all tokens. `random` gives numbers in [0, 1). */
export function sampleToken(
  logits: Float32Array,
  { temperature, topP }: SamplingOptions,
  random: () => number,
): number {
  const likeliest = indexOfGreatest(logits);
  if (temperature === 0) return likeliest;
  const weights = temperedWeights(logits, logits[likeliest] ?? 0, temperature);
  const candidates = topP < 1 ? nucleus(weights, topP) : allTokens(weights);
  return draw(candidates, weights, random());
}

/** The lowest of equals, so that the greedy choice is always the same. */
function indexOfGreatest(logits: Float32Array): number {
  let best = 0;
  let greatest = -Infinity;
  for (const [tokenId, logit] of logits.entries()) {
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
  return Float64Array.from(logits, (logit) => Math.exp((logit - greatest) / temperature));
}

function allTokens(weights: Float64Array): readonly number[] {
  return Array.from(weights.keys());
}

/** The likeliest tokens that together just reach the share `topP`: at least one. */
function nucleus(weights: Float64Array, topP: number): readonly number[] {
  const byWeight = [...allTokens(weights)].sort(
    (a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b,
  );
  const share = topP * weights.reduce((sum, weight) => sum + weight, 0);
  let reached = 0;
  const last = byWeight.findIndex((tokenId) => (reached += weights[tokenId] ?? 0) >= share);
  return byWeight.slice(0, last < 0 ? undefined : last + 1);
}

function draw(candidates: readonly number[], weights: Float64Array, random: number): number {
  const total = candidates.reduce((sum, tokenId) => sum + (weights[tokenId] ?? 0), 0);
  let rest = random * total;
  const drawn = candidates.find((tokenId) => (rest -= weights[tokenId] ?? 0) < 0);
  // Rounding may leave a tiny rest after the last candidate.
  return drawn ?? candidates.at(-1) ?? 0;
}
