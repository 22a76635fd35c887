/** Three significant digits and a magnitude: `1.23 M`, `45.6 k`, `789`, `0.0123`. */
export function formatQuantity(value: number): string {
  const size = Math.abs(value);
  if (size >= 999_500) return `${threeDigits(value / 1e6)} M`;
  if (size >= 9_995) return `${threeDigits(value / 1e3)} k`;
  return threeDigits(value);
}

function threeDigits(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.9995) return value.toFixed(2);
  return value === 0 ? '0' : String(Number(value.toPrecision(3)));
}

export function formatRatio(ratio: number): string {
  return `${threeDigits(ratio)}×`;
}
