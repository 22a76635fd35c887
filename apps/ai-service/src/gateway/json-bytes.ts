/** The digits that tell every float32 from its neighbours. */
const DIGITS = 9;
/** The smallest that JavaScript writes without an exponent. */
const PLAIN_MIN = 1e-6;
/** No number that is written here is longer: `-1.2345678901234567e-308`. */
const NUMBER_BYTES_MAX = 24;
const TEXT_BYTES_PER_UNIT_MAX = 3;
/** In ASCII. */
const [COMMA, MINUS, POINT, ZERO] = [0x2c, 0x2d, 0x2e, 0x30] as const;
const POWERS_OF_TEN = Array.from({ length: DIGITS + 7 }, (_, exponent) => 10 ** exponent);

/**
 * A JSON text in the making, for bodies that are mostly float32 numbers. `JSON.stringify` takes three times as long for
 * these and writes the digits of a double, twice as many as a float32 has.
 */
export class JsonBytes {
  #bytes: Buffer;
  #length = 0;

  /** `bytes`: how long the text will about be. */
  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafe(bytes);
  }

  /** A piece of JSON as it is. */
  text(json: string): this {
    this.#reserve(json.length * TEXT_BYTES_PER_UNIT_MAX);
    this.#length += this.#bytes.write(json, this.#length);
    return this;
  }

  value(value: unknown): this {
    return this.text(JSON.stringify(value));
  }

  /** What stands between the braces of an object; not of an empty one, where a comma would follow. */
  fields(object: object): this {
    return this.text(JSON.stringify(object).slice(1, -1));
  }

  /** Separated by commas; each reads back as the same float32. What is not finite becomes `null`, as JSON has it. */
  numbers(values: Float32Array): this {
    this.#reserve(values.length * (NUMBER_BYTES_MAX + 1));
    const bytes = this.#bytes;
    let end = this.#length;
    for (let index = 0; index < values.length; index++) {
      if (index > 0) bytes[end++] = COMMA;
      end = writeNumber(bytes, end, values[index] as number);
    }
    this.#length = end;
    return this;
  }

  /** The text so far: to be read before more is written. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  toString(): string {
    return this.#bytes.toString('utf8', 0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.byteLength) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.byteLength));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** Writes a float32 and returns where it ends. Fractions, which is what models give, without a detour over a string. */
function writeNumber(bytes: Buffer, start: number, value: number): number {
  const size = Math.abs(value);
  if (!(size >= PLAIN_MIN && size < 1))
    return start + bytes.write(Number.isFinite(value) ? String(value) : 'null', start, 'latin1');
  let decimals = DIGITS;
  for (let edge = 0.1; size < edge; edge *= 0.1) decimals++;
  let digits = Math.round(size * (POWERS_OF_TEN[decimals] as number)) | 0;
  while (digits % 10 === 0) {
    digits = (digits / 10) | 0;
    decimals--;
  }
  let begin = start;
  if (value < 0) bytes[begin++] = MINUS;
  bytes[begin] = ZERO;
  bytes[begin + 1] = POINT;
  const end = begin + 2 + decimals;
  for (let position = end - 1; position >= begin + 2; position--) {
    const rest = (digits / 10) | 0;
    bytes[position] = ZERO + digits - rest * 10;
    digits = rest;
  }
  return end;
}
