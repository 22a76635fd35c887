import type { SeededRandom } from '@manta/runtime/seeded-random';

/** What a value must be: whoever knows this can make the value, and tell whether another is equal to it. */
export interface Content {
  readonly seed: number;
  readonly sizeBytes: number;
  readonly shape: 'bytes' | 'numbers' | 'record';
}

const KIBIBYTE = 1024;
/** About the size from which values are stored in shared memory. */
const NEAR_STORED_BYTES = [90 * KIBIBYTE, 110 * KIBIBYTE] as const;
const SMALL_BYTES = [8, 4 * KIBIBYTE] as const;
const LARGE_BYTES = [128 * KIBIBYTE, 2 * 1024 * KIBIBYTE] as const;

export function randomContent(random: SeededRandom): Content {
  const size = random.next();
  const range = size < 0.3 ? SMALL_BYTES : size < 0.45 ? NEAR_STORED_BYTES : LARGE_BYTES;
  return {
    seed: random.between(1, 2 ** 31),
    sizeBytes: random.between(range[0], range[1]),
    shape: random.pick(['bytes', 'numbers', 'record'] as const) ?? 'bytes',
  };
}

/** The same words for the same seed, in one pass. */
function bytesOf({ seed, sizeBytes }: Content): Uint8Array {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let word = seed | 1;
  for (let index = 0; index < words.length; index += 1) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    words[index] = word;
  }
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

interface ContentRecord {
  readonly seed: number;
  readonly parts: readonly Uint8Array[];
}

export function valueOf(content: Content): unknown {
  const bytes = bytesOf(content);
  if (content.shape === 'bytes') return bytes;
  if (content.shape === 'numbers')
    return new Uint32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / 4));
  const middle = Math.floor(bytes.byteLength / 2);
  const parts = [bytes.slice(0, middle), bytes.slice(middle)];
  return { seed: content.seed, parts } satisfies ContentRecord;
}

export function isValueOf(value: unknown, content: Content): boolean {
  const bytes = Buffer.from(bytesOf(content).buffer, 0, content.sizeBytes);
  if (content.shape === 'bytes') return value instanceof Uint8Array && bytes.equals(value);
  if (content.shape === 'numbers') {
    if (!(value instanceof Uint32Array)) return false;
    const whole = bytes.subarray(0, bytes.byteLength - (bytes.byteLength % 4));
    return whole.equals(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  const { seed, parts } = value as ContentRecord;
  return seed === content.seed && bytes.equals(Buffer.concat([...parts]));
}
