import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { USE_LITE } from '../catalog.ts';
import { UnigramTokenizer, type UnigramVocabulary } from './unigram-tokenizer.ts';

const PASSWORD = 'How do I reset my password?';
const PASSWORD_IDS = [728, 64, 16, 137, 1383, 69, 5969, 54];

const vocabulary = JSON.parse(readFileSync(USE_LITE.vocabularyFile, 'utf8')) as UnigramVocabulary;
const tokenizer = new UnigramTokenizer(vocabulary);

describe('with the vocabulary of use-lite', () => {
  test('cuts a sentence as SentencePiece does', () => {
    expect(tokenizer.encode(PASSWORD, 128)).toEqual(PASSWORD_IDS);
  });

  test('takes runs of white space and its ends as nothing more than word borders', () => {
    expect(tokenizer.encode(`\n  ${PASSWORD.replaceAll(' ', ' \t\n')}  `, 128)).toEqual(
      PASSWORD_IDS,
    );
  });

  test('normalises compatibility characters', () => {
    expect(tokenizer.encode('ﬁne ｆｕｌｌ', 128)).toEqual(tokenizer.encode('fine full', 128));
  });

  test('joins the pieces back to the text', () => {
    const text = 'Internationalization of unbelievable electroencephalographs';
    const pieces = tokenizer.encode(text, 128).map((id) => vocabulary[id]?.[0]);
    expect(pieces.join('').replaceAll('▁', ' ').trim()).toBe(text);
  });

  test('makes one unknown piece of a run of unknown characters', () => {
    const ids = tokenizer.encode('good 🐳🐋🐳 day', 128);
    expect(ids.filter((id) => id === 0)).toHaveLength(1);
    expect(ids.at(-1)).toBe(tokenizer.encode('day', 128)[0]);
  });

  test('stops at the limit, in words and inside a word of any length', () => {
    const words = tokenizer.encode('whale '.repeat(500), 128);
    expect(words).toEqual(tokenizer.encode('whale '.repeat(500), 1000).slice(0, 128));
    expect(tokenizer.encode('x'.repeat(1_000_000), 128)).toHaveLength(128);
  });

  test('takes any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const ids = tokenizer.encode(text, 128);
        expect(ids.length).toBeLessThanOrEqual(128);
        expect(ids.every((id) => vocabulary[id] !== undefined)).toBe(true);
      }),
    );
  });
});

test('finds the likeliest of all ways to cut a word', () => {
  const pieces = fc.uniqueArray(
    fc.tuple(
      fc.string({ unit: fc.constantFrom('a', 'b', '▁'), minLength: 1, maxLength: 4 }),
      fc.double({ min: -15, max: -1, noNaN: true }),
    ),
    { selector: ([piece]) => piece, maxLength: 12 },
  );
  const word = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(pieces, word, (drawn, text) => {
      // Every letter is a piece, so that nothing is unknown and each cut has a score.
      const letters: [string, number][] = ['a', 'b', '▁'].map((letter) => [letter, -20]);
      const multiples = drawn.filter(([piece]) => piece.length > 1);
      const reserved: [string, number][] = Array.from({ length: 6 }, (_, id) => [`<${id}>`, 0]);
      const small: UnigramVocabulary = [...reserved, ...letters, ...multiples];
      const ids = new UnigramTokenizer(small).encode(text, 100);
      expect(ids.map((id) => small[id]?.[0]).join('')).toBe(`▁${text}`);
      const score = ids.reduce((sum, id) => sum + (small[id]?.[1] ?? NaN), 0);
      expect(score).toBeCloseTo(bestScore(`▁${text}`, small.slice(6)), 8);
    }),
  );
});

/** By trying every cut. */
function bestScore(text: string, pieces: UnigramVocabulary): number {
  if (text === '') return 0;
  const scores = pieces
    .filter(([piece]) => text.startsWith(piece))
    .map(([piece, score]) => score + bestScore(text.slice(piece.length), pieces));
  return Math.max(...scores);
}
