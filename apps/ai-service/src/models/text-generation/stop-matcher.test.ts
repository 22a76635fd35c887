import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopMatcher } from './stop-matcher.ts';

function match(
  pieces: readonly string[],
  stops: readonly string[],
): { text: string; sent: string[]; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  const sent: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    sent.push(text);
    if (stopped) return { text: sent.join(''), sent, stopped };
  }
  sent.push(matcher.flush());
  return { text: sent.join(''), sent, stopped: false };
}

/** What the matcher promises, said directly: the shortest beginning of the text that ends with a stop sequence. */
function expected(text: string, stops: readonly string[]): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (found.length === 0) continue;
    return {
      text: text.slice(0, end - Math.max(...found.map(({ length }) => length))),
      stopped: true,
    };
  }
  return { text, stopped: false };
}

test('finds a stop sequence that spans pieces', () => {
  expect(match(['one tw', 'o', ' thr', 'ee four'], ['two three'])).toMatchObject({
    text: 'one ',
    stopped: true,
  });
});

test('sends what turned out not to be a stop sequence', () => {
  expect(match(['a\n', '\nb\n', '\n\n'], ['\n\n\n'])).toMatchObject({
    text: 'a\n\nb',
    stopped: true,
  });
  expect(match(['a\n', '\nb'], ['\n\n\n'])).toMatchObject({ text: 'a\n\nb', stopped: false });
});

test('holds back no more than what may begin a stop sequence', () => {
  expect(match(['abc', 'd'], ['cx'])).toMatchObject({ sent: ['ab', 'cd', ''] });
});

test('passes everything through without stop sequences', () => {
  expect(match(['ab', 'c'], []).sent).toEqual(['ab', 'c', '']);
});

test('gives the same text however it is cut into pieces', () => {
  // Two letters only, so that stop sequences overlap, repeat and begin within each other.
  const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 30 });
  const stops = fc.array(
    fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 5 }),
    {
      maxLength: 4,
    },
  );
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 8 }), stops, (pieces, stopSequences) => {
      const { text, stopped } = match(pieces, stopSequences);
      expect({ text, stopped }).toEqual(expected(pieces.join(''), stopSequences));
    }),
    { numRuns: 1000 },
  );
});
