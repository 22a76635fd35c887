import { readFileSync } from 'node:fs';

/** The last cache of a processor, as the system describes it. */
export interface SharedCache {
  sizeBytes: number;
  /** Processors that use it, as far as this system has them. */
  processors: number;
}

const VARIABLE = 'GLIBC_TUNABLES';
const TUNABLE = 'glibc.cpu.x86_non_temporal_threshold';
/** Copies of more than this go past the cache. */
const THRESHOLD_BYTES = 4 * 1024 * 1024;
/** More of a cache than any processor has for itself. */
const SHARE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * What the environment of processes that store values needs. Copies that are larger than a processor's share of the last
 * cache go past it, which is twice as fast. But a virtual machine often shows the whole cache of its host as that of its
 * few processors, and then `memcpy` would have copies of hundreds of megabytes go through it. A threshold that the user
 * has set stays.
 */
export function copyThreshold(
  cache: SharedCache | undefined = lastCache(),
  tunables: string | undefined = process.env[VARIABLE],
): Record<string, string> {
  if (cache === undefined || cache.sizeBytes / cache.processors <= SHARE_BYTES_MAX) return {};
  if (tunables?.includes(TUNABLE) === true) return {};
  const setting = `${TUNABLE}=${THRESHOLD_BYTES}`;
  return { [VARIABLE]: tunables === undefined ? setting : `${tunables}:${setting}` };
}

/** Undefined: another kind of system or processor, or it does not tell. */
function lastCache(): SharedCache | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const read = (name: string): string =>
    readFileSync(`/sys/devices/system/cpu/cpu0/cache/index3/${name}`, 'utf8').trim();
  try {
    return cacheFrom(read('size'), read('shared_cpu_list'));
  } catch {
    return undefined;
  }
}

/** `size`: "491520K"; `processors`: "0-1,4". Undefined when they are something else. */
export function cacheFrom(size: string, processors: string): SharedCache | undefined {
  const kibibytes = /^(\d+)K$/.exec(size)?.[1];
  if (kibibytes === undefined || !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(processors)) return undefined;
  let count = 0;
  for (const range of processors.split(',')) {
    const [first = 0, last = first] = range.split('-').map(Number);
    count += last - first + 1;
  }
  return count > 0 ? { sizeBytes: Number(kibibytes) * 1024, processors: count } : undefined;
}
