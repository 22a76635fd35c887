import { expect, test } from 'vitest';
import { sampleToken } from './sampler.ts';
import { seededRandom } from './seeded-random.ts';

const LOGITS = Float32Array.from([0.4, 0.3, 0.2, 0.1], Math.log);

function shares(options: { temperature: number; topP: number }, draws = 20_000): number[] {
  const random = seededRandom(42);
  const counts = LOGITS.map(() => 0);
  for (let draw = 0; draw < draws; draw++) {
    const tokenId = sampleToken(LOGITS, options, random);
    counts[tokenId] = (counts[tokenId] ?? 0) + 1;
  }
  return Array.from(counts, (count) => count / draws);
}

function closeTo(wanted: readonly number[]): number[] {
  return wanted.map((share) => expect.closeTo(share, 1) as number);
}

test('temperature 0 takes the likeliest, the first of equals', () => {
  const never = (): number => {
    throw new Error('Nothing is random here');
  };
  expect(sampleToken(Float32Array.of(1, 3, 2), { temperature: 0, topP: 1 }, never)).toBe(1);
  expect(sampleToken(Float32Array.of(1, 3, 3), { temperature: 0, topP: 1 }, never)).toBe(1);
});

test('temperature 1 draws by probability', () => {
  expect(shares({ temperature: 1, topP: 1 })).toEqual(closeTo([0.4, 0.3, 0.2, 0.1]));
});

test('a lower temperature sharpens, a higher one flattens', () => {
  const sharp = [0.16, 0.09, 0.04, 0.01].map((square) => square / 0.3);
  expect(shares({ temperature: 0.5, topP: 1 })).toEqual(closeTo(sharp));
  expect(shares({ temperature: 2, topP: 1 })[3]).toBeGreaterThan(0.13);
});

test('topP keeps the likeliest tokens that reach it', () => {
  expect(shares({ temperature: 1, topP: 0.5 })).toEqual(closeTo([4 / 7, 3 / 7, 0, 0]));
  expect(shares({ temperature: 1, topP: 1e-9 })).toEqual([1, 0, 0, 0]);
});

test('stays exact at the edges of what random numbers can be', () => {
  const options = { temperature: 1, topP: 1 };
  expect(sampleToken(LOGITS, options, () => 0)).toBe(0);
  expect(sampleToken(LOGITS, options, () => 1 - Number.EPSILON)).toBe(3);
  expect(
    sampleToken(Float32Array.of(-1e30, 80, 1e30), { temperature: 1e-9, topP: 1 }, () => 0.5),
  ).toBe(2);
});

test('random numbers depend on the whole seed', () => {
  const firstOf = (seed: number): number => seededRandom(seed)();
  const seeds = [0, 1, -1, 2 ** 32, 2 ** 32 + 1, -(2 ** 40), Number.MAX_SAFE_INTEGER];
  expect(new Set(seeds.map(firstOf)).size).toBe(seeds.length);
  expect(firstOf(2 ** 32)).toBe(firstOf(2 ** 32));
  const random = seededRandom(5);
  const numbers = Array.from({ length: 10_000 }, random);
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
  expect(numbers.reduce((sum, number) => sum + number, 0) / numbers.length).toBeCloseTo(0.5, 1);
});

test('topP takes the first of equals', () => {
  const equal = new Float32Array(8);
  const drawn = Array.from({ length: 200 }, (_, draw) =>
    sampleToken(equal, { temperature: 1, topP: 0.25 }, () => draw / 200),
  );
  expect([...new Set(drawn)]).toEqual([0, 1]);
});
