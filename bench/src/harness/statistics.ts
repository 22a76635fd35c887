/** Plain statistics over samples; every function throws RangeError on no samples. */

function requireSamples(samples: readonly number[]): void {
  if (samples.length === 0) throw new RangeError('no samples');
}

export function mean(samples: readonly number[]): number {
  requireSamples(samples);
  let sum = 0;
  for (const sample of samples) sum += sample;
  return sum / samples.length;
}

/** The population's (divided by n, as `numpy.std` and so Ray's microbenchmark do), not the sample's. */
export function standardDeviation(samples: readonly number[]): number {
  const centre = mean(samples);
  return Math.sqrt(mean(samples.map((sample) => (sample - centre) ** 2)));
}

/** Linear interpolation between the two nearest ranks; `fraction` from 0 to 1. */
export function quantile(samples: readonly number[], fraction: number): number {
  requireSamples(samples);
  if (!(fraction >= 0 && fraction <= 1))
    throw new RangeError(`fraction ${fraction} is not in 0..1`);
  const sorted = samples.toSorted((left, right) => left - right);
  const position = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(position)] ?? 0;
  const above = sorted[Math.ceil(position)] ?? 0;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}
