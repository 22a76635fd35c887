export interface PoolSettings {
  /** 'process' hosts kept ready: one that is taken is replaced promptly. */
  poolSize: number;
  /** 'process' hosts kept ready when the node has had nothing to do for a while: a burst of actors finds them. */
  leisurePoolSize: number;
  /** Host starts at one time when actors wait for them. */
  startConcurrencyMax: number;
  /** Host starts at one time when only the pool is filled up: leaves the machine to those who work. */
  refillConcurrencyMax: number;
  /** 'shared' hosts a group gets before they are full. */
  sharedHostsPerGroup: number;
  /** Actors in one 'shared' host before another is started. */
  sharedActorsPerHost: number;
  /** Hosts between two leases; beyond that the longest idle is asked to retire. */
  keptHostsMax: number;
  /** Starts that may fail in a row before those who wait are told. */
  failedStartsMax: number;
}

/** What a warm host keeps in memory, beside the pages that all hosts share. */
const WARM_HOST_BYTES = 25e6;
/** Of the node's memory, for hosts that nobody has asked for yet. */
const LEISURE_MEMORY_SHARE = 0.05;
const LEISURE_POOL_SIZE_MAX = 20;

/** `poolSize`: exactly so many are kept ready, also at leisure. */
export function defaultPoolSettings(
  cpus: number,
  poolSize?: number,
  memoryBytes = 0,
): PoolSettings {
  const processors = Math.max(1, Math.floor(cpus));
  const prompt = poolSize ?? Math.max(2, processors);
  const affordable = Math.floor((memoryBytes * LEISURE_MEMORY_SHARE) / WARM_HOST_BYTES);
  const leisure = Math.max(prompt, Math.min(affordable, LEISURE_POOL_SIZE_MAX));
  return {
    poolSize: prompt,
    leisurePoolSize: poolSize ?? leisure,
    startConcurrencyMax: Math.max(2, processors),
    refillConcurrencyMax: Math.max(1, Math.floor(processors / 2)),
    sharedHostsPerGroup: Math.min(2, processors),
    sharedActorsPerHost: 50_000,
    keptHostsMax: Math.max(2, processors),
    failedStartsMax: 3,
  };
}
