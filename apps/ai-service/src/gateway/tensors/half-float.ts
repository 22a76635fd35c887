const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/** IEEE half float bits of a number, rounded to nearest, ties to even; too large becomes infinity. */
export function halfFromNumber(value: number): number {
  float32[0] = value;
  const bits = bits32[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200);
  const halfExponent = exponent - 112;
  if (halfExponent >= 31) return sign | 0x7c00;
  if (halfExponent >= 1) return sign | roundShift((halfExponent << 23) | fraction, 13);
  if (halfExponent < -10) return sign;
  return sign | roundShift(fraction | 0x800000, 14 - halfExponent);
}

export function numberFromHalf(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function roundShift(value: number, shift: number): number {
  const kept = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  const roundUp = rest > middle || (rest === middle && (kept & 1) === 1);
  return roundUp ? kept + 1 : kept;
}
