import { expect, it } from 'vitest';
import { LIMITS } from './limits.ts';
import { shortened } from './shortened.ts';

it('leaves short texts as they are', () => {
  const text = 'x'.repeat(LIMITS.causeLength);
  expect(shortened(text)).toBe(text);
});

it('says how much is left out, and stays within the limit', () => {
  const text = shortened('x'.repeat(LIMITS.causeLength + 1_000_000));
  expect(text.length).toBeLessThanOrEqual(LIMITS.causeLength);
  expect(text).toMatch(/^x+… \(1000064 more characters\)$/);
});
