import { expect, test } from 'vitest';
import { deferred, type Deferred } from '../engine/deferred.ts';
import { EmbeddingBatcher } from './embedding-batcher.ts';

/** Runs that end when the test says so; the vector of a sequence is its first token, twice. */
class ManualRuns {
  readonly batches: { firstTokens: number[]; release: Deferred<void> }[] = [];

  readonly run = async (sequences: readonly (readonly number[])[]): Promise<Float32Array> => {
    const firstTokens = sequences.map(([first = 0]) => first);
    const release = deferred<void>();
    this.batches.push({ firstTokens, release });
    await release.promise;
    return Float32Array.from(firstTokens.flatMap((first) => [first, first]));
  };
}

const LIMITS = { rowsMax: 3, tokensMax: 8, waitingMax: 6 };

test('what arrives while a batch runs makes up the next ones, the callers in turn', async () => {
  const runs = new ManualRuns();
  const batcher = new EmbeddingBatcher(runs.run, LIMITS);
  const results = [[1], [2, 3], [4, 5]].map(async (firsts) =>
    batcher.embed(firsts.map((first) => [first])),
  );
  expect(runs.batches.map(({ firstTokens }) => firstTokens)).toEqual([[1]]);
  runs.batches[0]?.release.resolve();
  expect(await results[0]).toEqual([Float32Array.of(1, 1)]);
  expect(runs.batches[1]?.firstTokens).toEqual([2, 4, 3]);
  runs.batches[1]?.release.resolve();
  expect(await results[1]).toEqual([Float32Array.of(2, 2), Float32Array.of(3, 3)]);
  await expect.poll(() => runs.batches[2]?.firstTokens).toEqual([5]);
  runs.batches[2]?.release.resolve();
  expect(await results[2]).toEqual([Float32Array.of(4, 4), Float32Array.of(5, 5)]);
});

test('a caller that left takes no place in a batch', async () => {
  const runs = new ManualRuns();
  const batcher = new EmbeddingBatcher(runs.run, LIMITS);
  const running = batcher.embed([[1]]);
  const abort = new AbortController();
  const left = batcher.embed([[2], [3]], abort.signal);
  const kept = batcher.embed([[4]]);
  abort.abort(new Error('gone'));
  runs.batches[0]?.release.resolve();
  await expect(left).rejects.toThrow('gone');
  await running;
  expect(runs.batches[1]?.firstTokens).toEqual([4]);
  runs.batches[1]?.release.resolve();
  expect(await kept).toEqual([Float32Array.of(4, 4)]);
});

test('a batch that fails fails its callers only', async () => {
  const runs = new ManualRuns();
  const batcher = new EmbeddingBatcher(runs.run, LIMITS);
  const failing = batcher.embed([[1]]);
  const waiting = batcher.embed([[2]]);
  runs.batches[0]?.release.reject(new Error('broken'));
  await expect(failing).rejects.toThrow('broken');
  runs.batches[1]?.release.resolve();
  expect(await waiting).toEqual([Float32Array.of(2, 2)]);
});

test('refuses more than may wait', async () => {
  const runs = new ManualRuns();
  const batcher = new EmbeddingBatcher(runs.run, LIMITS);
  const first = batcher.embed([[1]]);
  const waiting = batcher.embed([[2], [3], [4], [5]]);
  const refused = batcher.embed([[6], [7], [8]]);
  await expect(refused).rejects.toMatchObject({ name: 'ModelOverloadedError' });
  runs.batches[0]?.release.resolve();
  await first;
  runs.batches[1]?.release.resolve();
  await expect.poll(() => runs.batches.length).toBe(3);
  runs.batches[2]?.release.resolve();
  expect(await waiting).toHaveLength(4);
});

test('keeps a batch to its number of tokens with padding, but takes any single sequence', async () => {
  const runs = new ManualRuns();
  const batcher = new EmbeddingBatcher(runs.run, LIMITS);
  const long = (first: number): number[] => Array.from({ length: 20 }, () => first);
  const results = batcher.embed([[1], [2, 2, 2], long(3), [4, 4, 4, 4], [5, 5, 5, 5]]);
  for (const [batch, firstTokens] of [[1, 2], [3], [4, 5]].entries()) {
    await expect.poll(() => runs.batches[batch]?.firstTokens).toEqual(firstTokens);
    runs.batches[batch]?.release.resolve();
  }
  expect((await results).map(([first]) => first)).toEqual([1, 2, 3, 4, 5]);
});
