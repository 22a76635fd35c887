import { expect, test } from 'vitest';
import type { GenerationChunk } from '../types.ts';
import type { DecoderModel, ForwardResult } from './decoder-model.ts';
import { GenerationScheduler } from './generation-scheduler.ts';
import { GenerationSequence } from './generation-sequence.ts';
import type { KeyValueCache } from './key-value-cache.ts';
import { tokenBytesOf } from './token-text.ts';

const LETTERS = Array.from('abcdefghijklmnopqrstuvwxyz');
const TOKEN_BYTES = tokenBytesOf([...LETTERS, '<end>']);
const END_TOKEN_ID = LETTERS.length;

/** Continues the alphabet, and keeps all tokens in its cache so that a mix-up of rows shows. */
class AlphabetModel implements DecoderModel {
  readonly layout = { tensorCount: 1, heads: 1, headSize: 1 };
  /** Per pass: the tokens that each row appended. */
  readonly passes: string[][] = [];
  failure: Error | undefined;
  onPass: () => void = () => undefined;

  async forward(
    tokenIds: readonly (readonly number[])[],
    cache: KeyValueCache,
  ): Promise<ForwardResult> {
    this.passes.push(tokenIds.map((ids) => ids.map((id) => LETTERS[id]).join('')));
    this.onPass();
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failure !== undefined) throw this.failure;
    const appended = tokenIds[0]?.length ?? 0;
    const width = cache.width + appended;
    const tokens = new Float32Array(tokenIds.length * width);
    const past = cache.tensors[0] ?? new Float32Array(0);
    for (const [row, ids] of tokenIds.entries()) {
      tokens.set(past.subarray(row * cache.width, (row + 1) * cache.width), row * width);
      tokens.set(ids, row * width + cache.width);
    }
    const lengths = cache.lengths.map((length) => length + appended);
    const logits = lengths.map((length, row) => {
      const seen = tokens.subarray((row + 1) * width - length, (row + 1) * width);
      return logitsFor(nextLetter(seen));
    });
    return { logits, cache: { lengths, width, tensors: [tokens] } };
  }
}

/** The letter after the last one, if what was seen is a stretch of the alphabet; else the end. */
function nextLetter(seen: Float32Array): number {
  const first = seen[0] ?? 0;
  const inOrder = seen.every((tokenId, index) => tokenId === first + index);
  return inOrder ? first + seen.length : END_TOKEN_ID;
}

function logitsFor(tokenId: number): Float32Array {
  return Float32Array.from({ length: END_TOKEN_ID + 1 }, (_, id) => (id === tokenId ? 1 : 0));
}

function sequence(prompt: string, maxTokens: number): GenerationSequence {
  return new GenerationSequence({
    promptTokenIds: Array.from(prompt, (letter) => LETTERS.indexOf(letter)),
    maxTokens,
    temperature: 0,
    topP: 1,
    stop: [],
    endTokenId: END_TOKEN_ID,
    tokenBytes: TOKEN_BYTES,
    random: () => 0,
  });
}

interface Run {
  chunks: GenerationChunk[];
  done: Promise<void>;
  abort: AbortController;
}

function start(scheduler: GenerationScheduler, prompt: string, maxTokens: number): Run {
  const chunks: GenerationChunk[] = [];
  const abort = new AbortController();
  const done = scheduler.run(sequence(prompt, maxTokens), abort.signal, (chunk) =>
    chunks.push(chunk),
  );
  return { chunks, done, abort };
}

const textOf = ({ chunks }: Run): string => chunks.map(({ text }) => text).join('');

test('admits one prompt per round and then decodes all together', async () => {
  const model = new AlphabetModel();
  const scheduler = new GenerationScheduler(model, { runningMax: 4, waitingMax: 4 });
  const runs = [start(scheduler, 'a', 4), start(scheduler, 'ghi', 3), start(scheduler, 'pq', 4)];
  await Promise.all(runs.map(({ done }) => done));
  expect(runs.map(textOf)).toEqual(['bcde', 'jkl', 'rstu']);
  expect(model.passes).toEqual([
    ['a'],
    ['b'],
    ['ghi'],
    ['c', 'j'],
    ['pq'],
    ['d', 'k', 'r'],
    ['s'],
    ['t'],
  ]);
});

test('ends with the end token, which is no text', async () => {
  const scheduler = new GenerationScheduler(new AlphabetModel(), { runningMax: 1, waitingMax: 1 });
  const run = start(scheduler, 'xy', 10);
  await run.done;
  expect(textOf(run)).toBe('z');
  expect(run.chunks.at(-1)).toEqual({
    text: '',
    finishReason: 'stop',
    usage: { promptTokens: 2, completionTokens: 2 },
  });
});

test('runs no more at once than allowed, and the next one as soon as a place is free', async () => {
  const model = new AlphabetModel();
  const scheduler = new GenerationScheduler(model, { runningMax: 2, waitingMax: 10 });
  const runs = Array.from({ length: 5 }, () => start(scheduler, 'a', 3));
  await Promise.all(runs.map(({ done }) => done));
  expect(runs.map(textOf)).toEqual(Array.from({ length: 5 }, () => 'bcd'));
  expect(Math.max(...model.passes.map(({ length }) => length))).toBe(2);
});

test('refuses more waiting sequences than allowed', async () => {
  const scheduler = new GenerationScheduler(new AlphabetModel(), { runningMax: 1, waitingMax: 1 });
  const first = start(scheduler, 'a', 3);
  const second = start(scheduler, 'a', 3);
  await expect(start(scheduler, 'a', 3).done).rejects.toMatchObject({
    name: 'ModelOverloadedError',
  });
  await Promise.all([first.done, second.done]);
});

test('an aborted sequence costs no further pass, and leaves the others as they are', async () => {
  const model = new AlphabetModel();
  const scheduler = new GenerationScheduler(model, { runningMax: 4, waitingMax: 4 });
  const kept = start(scheduler, 'a', 6);
  const aborted = start(scheduler, 'p', 6);
  const waiting = start(scheduler, 'x', 6);
  model.onPass = () => {
    if (model.passes.at(-1)?.length !== 2) return;
    aborted.abort.abort();
    waiting.abort.abort();
  };
  await Promise.all([kept.done, aborted.done, waiting.done]);
  expect(textOf(kept)).toBe('bcdefg');
  expect(aborted.chunks.every(({ finishReason }) => finishReason === undefined)).toBe(true);
  expect(model.passes).toEqual([['a'], ['b'], ['p'], ['c', 'q'], ['d'], ['e'], ['f']]);
  expect(waiting.chunks).toEqual([]);
});

test('a pass that fails fails its sequences; the next ones are served', async () => {
  const model = new AlphabetModel();
  const scheduler = new GenerationScheduler(model, { runningMax: 4, waitingMax: 4 });
  model.failure = new Error('out of memory');
  await expect(start(scheduler, 'a', 2).done).rejects.toThrow('out of memory');
  model.failure = undefined;
  const run = start(scheduler, 'a', 2);
  await run.done;
  expect(textOf(run)).toBe('bc');
  await scheduler.idle();
});
