import { InvalidArgumentError } from '../errors/errors.ts';

/**
 * An amount of a resource as an integer number of steps of 0.0001, so that taking and giving back never drifts.
 * Bytes are whole numbers already and are never scaled: a terabyte in steps would leave the exact integers.
 */
export type Fixed = number;

export const FIXED_ONE: Fixed = 10_000;
const LARGEST_AMOUNT = 100_000_000;

/**
 * Rounds to the nearest step; what is more than nothing never becomes nothing.
 * @throws InvalidArgumentError when the amount is negative, not finite or above 100 million.
 */
export function toFixedPoint(amount: number, what: string): Fixed {
  if (!(amount >= 0 && amount <= LARGEST_AMOUNT)) {
    throw new InvalidArgumentError(
      `${what} must be between 0 and ${LARGEST_AMOUNT}, not ${amount}`,
    );
  }
  if (amount === 0) return 0;
  return Math.max(1, Math.round(amount * FIXED_ONE));
}

export function fromFixedPoint(value: Fixed): number {
  return value / FIXED_ONE;
}

/** For people: `2`, `0.5`. */
export function formatFixedPoint(value: Fixed): string {
  return String(value / FIXED_ONE);
}

/** For people: `512 MiB`, `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Math.round(value * 100) / 100} ${units[unit]}`;
}
