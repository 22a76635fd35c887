import { expect, test } from 'vitest';
import { findModelInputError, ModelInputError } from './errors.ts';

test('is found at any depth, and as the copy that an actor call returns', () => {
  const original = new ModelInputError('The prompt is too long', 'prompt');
  const copy = Object.assign(new Error(original.message), {
    name: original.name,
    param: original.param,
  });
  for (const cause of [original, copy]) {
    const outer = new Error('call failed', { cause: new Error('actor failed', { cause }) });
    expect(findModelInputError(outer)).toEqual({
      message: 'The prompt is too long',
      param: 'prompt',
    });
  }
  expect(findModelInputError(new ModelInputError('wrong'))).toEqual({ message: 'wrong' });
});

test('is nothing else', () => {
  expect(findModelInputError(new Error('ModelInputError'))).toBeUndefined();
  expect(findModelInputError('ModelInputError')).toBeUndefined();
});
