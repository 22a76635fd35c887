import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { TINY_MOBY } from '../catalog.ts';
import { TextTokenizer } from './text-tokenizer.ts';
import { IncrementalDetokenizer } from './token-text.ts';

let tokenizer: TextTokenizer;
let reference: Tokenizer;
beforeAll(async () => {
  tokenizer = await TextTokenizer.load(TINY_MOBY.modelFolder);
  const readJson = (name: string): object =>
    JSON.parse(readFileSync(join(TINY_MOBY.modelFolder, name), 'utf8')) as object;
  reference = new Tokenizer(readJson('tokenizer.json'), readJson('tokenizer_config.json'));
});

function detokenize(tokenIds: readonly number[]): string[] {
  const detokenizer = new IncrementalDetokenizer(tokenizer.tokenBytes);
  return [...tokenIds.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

test('gives back any text, and never a part of a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const pieces = detokenize(tokenizer.encode({ text: `.${text}` }));
      expect(pieces.join('')).toBe(`.${text}`);
      for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
    }),
  );
});

test('an emoji of four tokens appears with its last one', () => {
  const tokenIds = tokenizer.encode({ text: '🐳' });
  expect(tokenIds).toHaveLength(4);
  expect(detokenize(tokenIds)).toEqual(['', '', '', '🐳', '']);
});

test('a broken character becomes a replacement character, also at the end', () => {
  const [first = 0, second = 0] = tokenizer.encode({ text: '🐳' });
  const [letter = 0] = tokenizer.encode({ text: 'A' });
  expect(detokenize([first, letter, first, second]).join('')).toBe('\ufffdA\ufffd');
});

test('agrees with the reference decoder on any valid text', () => {
  fc.assert(
    fc.property(fc.lorem({ mode: 'sentences' }), (text) => {
      const tokenIds = tokenizer.encode({ text });
      expect(tokenIds).toEqual(reference.encode(text).ids);
      expect(detokenize(tokenIds).join('')).toBe(reference.decode(tokenIds));
    }),
  );
});

test('a byte order mark is text like any other', () => {
  expect(detokenize(tokenizer.encode({ text: '\ufeffA' })).join('')).toBe('\ufeffA');
});
