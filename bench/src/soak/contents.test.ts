import { describe, expect, it } from 'vitest';
import { type Content, isValueOf, randomContent, valueOf } from './contents.ts';
import { SeededRandom } from '@manta/runtime/seeded-random';

const SHAPES = ['bytes', 'numbers', 'record'] as const;
const contentOf = (shape: Content['shape'], sizeBytes = 1_001): Content => ({
  seed: 7,
  sizeBytes,
  shape,
});

describe.each(SHAPES)('contents of shape %s', (shape) => {
  it('are known again, whatever their size', () => {
    for (const sizeBytes of [8, 9, 10, 11, 100_000]) {
      const content = contentOf(shape, sizeBytes);
      expect(isValueOf(valueOf(content), content)).toBe(true);
    }
  });

  it('are told from those of other seeds and sizes', () => {
    const content = contentOf(shape);
    expect(isValueOf(valueOf({ ...content, seed: 8 + 1 }), content)).toBe(false);
    expect(isValueOf(valueOf({ ...content, sizeBytes: 2_000 }), content)).toBe(false);
  });
});

it('one changed byte is seen', () => {
  const content = contentOf('bytes');
  const value = valueOf(content) as Uint8Array;
  value[1_000] = (value[1_000] ?? 0) ^ 1;
  expect(isValueOf(value, content)).toBe(false);
});

it('the same seed gives the same contents', () => {
  const twice = [1, 2].map(() => {
    const random = new SeededRandom(5);
    return Array.from({ length: 20 }, () => randomContent(random));
  });
  expect(twice[0]).toEqual(twice[1]);
  expect(new Set(twice[0]?.map(({ seed }) => seed)).size).toBe(20);
});
