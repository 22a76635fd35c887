import { expect, test } from 'vitest';
import type { GenerationChunk } from '../types.ts';
import { GenerationSequence } from './generation-sequence.ts';
import type { TokenBytes } from './token-text.ts';

const END_TOKEN_ID = 256;
/** One token per byte, and the end. */
const TOKEN_BYTES: TokenBytes = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  new Uint8Array(0),
];

/** Feeds logits that choose `bytes` one after the other, until the sequence has finished. */
function feed(
  bytes: readonly number[],
  options: { maxTokens?: number; stop?: string[] } = {},
): GenerationChunk[] {
  const sequence = new GenerationSequence({
    promptTokenIds: [65],
    maxTokens: options.maxTokens ?? 100,
    temperature: 0,
    topP: 1,
    stop: options.stop ?? [],
    endTokenId: END_TOKEN_ID,
    tokenBytes: TOKEN_BYTES,
    random: () => 0,
  });
  const chunks: GenerationChunk[] = [];
  for (const byte of bytes) {
    const logits = new Float32Array(END_TOKEN_ID + 1);
    logits[byte] = 1;
    const chunk = sequence.accept(logits);
    if (chunk !== undefined) chunks.push(chunk);
    if (sequence.finished) break;
  }
  return chunks;
}

const utf8 = (text: string): number[] => [...Buffer.from(text)];
const textOf = (chunks: readonly GenerationChunk[]): string =>
  chunks.map(({ text }) => text).join('');

test('sends no chunk while a character is incomplete', () => {
  const chunks = feed(utf8('é!🐳'));
  expect(chunks.map(({ text }) => text)).toEqual(['é', '!', '🐳']);
  expect(chunks.map(({ usage }) => usage.completionTokens)).toEqual([2, 3, 7]);
});

test('finds a stop sequence of characters that are spread over tokens', () => {
  const chunks = feed(utf8('good 🐳🐋 day'), { stop: ['🐋 d'] });
  expect(textOf(chunks)).toBe('good 🐳');
  expect(chunks.at(-1)?.finishReason).toBe('stop');
});

test('sends at the end what it held back for a stop sequence that did not come', () => {
  for (const ending of [
    { bytes: [...utf8('ab'), END_TOKEN_ID] },
    { bytes: utf8('ab'), maxTokens: 2 },
  ]) {
    const { bytes, ...options } = ending;
    const chunks = feed(bytes, { ...options, stop: ['bc'] });
    expect(textOf(chunks)).toBe('ab');
  }
});

test('sends at the end a replacement for a character that was not completed', () => {
  const chunks = feed(utf8('a🐳').slice(0, 3), { maxTokens: 3 });
  expect(textOf(chunks)).toBe('a\ufffd');
  expect(chunks.at(-1)?.finishReason).toBe('length');
});

test('a stop sequence that ends with the last allowed token is a stop', () => {
  const chunks = feed(utf8('ab'), { maxTokens: 2, stop: ['b'] });
  expect(textOf(chunks)).toBe('a');
  expect(chunks.at(-1)).toMatchObject({ text: '', finishReason: 'stop' });
});
