import { init, ready, shutdown, type ActorHandle } from '@manta/sdk';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  EmbeddingModelActor,
  TensorModelActor,
  TextGenerationModelActor,
  type EmbeddingModel,
  type TensorModel,
  type TextGenerationModel,
} from '@manta/ai-service/models/model-actors';
import { findModelInputError } from './errors.ts';
import { drawTextLine } from './testing/text-line-image.ts';

let embedding: ActorHandle<EmbeddingModel>;
let generation: ActorHandle<TextGenerationModel>;
let orientation: ActorHandle<TensorModel>;

beforeAll(async () => {
  // A private cluster: processes of its own, which end with `shutdown`.
  await init({ cpus: 2 });
  embedding = EmbeddingModelActor.create('use-lite');
  generation = TextGenerationModelActor.create('tiny-moby');
  orientation = TensorModelActor.create('text-orientation');
});
afterAll(async () => {
  await shutdown();
});

test('embeds, for many callers at the same time', async () => {
  const password = 'How do I reset my password?';
  const [{ vectors, dimensions, tokenCounts }, ...others] = await Promise.all([
    embedding.embed([password, 'I forgot my login credentials']),
    ...Array.from({ length: 20 }, () => embedding.embed([password])),
  ]);
  expect(dimensions).toBe(512);
  expect(tokenCounts[0]).toBe(8);
  expect(vectors).toBeInstanceOf(Float32Array);
  const cosine = vectors
    .subarray(0, 512)
    .reduce((sum, value, index) => sum + value * (vectors[512 + index] ?? 0), 0);
  expect(cosine).toBeCloseTo(0.526, 3);
  expect(others.every((other) => other.vectors.length === 512)).toBe(true);
});

test('streams text, the same for the same seed', async () => {
  const complete = async (): Promise<string> => {
    let text = '';
    const request = { prompt: { text: 'Call me Ishmael.' }, maxTokens: 30, seed: 7 };
    for await (const chunk of generation.generate(request)) text += chunk.text;
    return text;
  };
  const [first, second] = await Promise.all([complete(), complete()]);
  expect(first.length).toBeGreaterThan(30);
  expect(second).toBe(first);
});

test('serves its next caller at once after one has aborted', async () => {
  const abort = new AbortController();
  const prompt = { text: 'Call me Ishmael.' };
  const reading = async (): Promise<void> => {
    const stream = generation.generate.options({ signal: abort.signal })({ prompt, seed: 1 });
    for await (const chunk of stream) if (chunk.usage.completionTokens > 2) abort.abort();
  };
  await expect(reading()).rejects.toMatchObject({ name: 'TaskCancelledError' });
  expect(await generation.countTokens(prompt)).toBeGreaterThan(0);
});

test('goes on serving after callers left their streams', async () => {
  const prompt = { text: 'Call me Ishmael.' };
  for (let caller = 0; caller < 20; caller++) {
    for await (const chunk of generation.generate({ prompt, seed: caller })) {
      expect(chunk.usage.promptTokens).toBeGreaterThan(0);
      break;
    }
  }
  expect(await generation.countTokens(prompt)).toBeGreaterThan(0);
});

test('infers from tensors', async () => {
  const data = drawTextLine('TYPE 247', { upsideDown: true });
  const [output] = await orientation.infer([
    { name: 'x', datatype: 'FP32', shape: [1, 3, 48, 192], data },
  ]);
  expect(output).toMatchObject({ name: 'probabilities', datatype: 'FP32', shape: [1, 2] });
  expect(Number(output?.data[1])).toBeGreaterThan(0.9);
});

test('bad input arrives as such at the caller', async () => {
  const error: unknown = await embedding.embed([]).catch((reason: unknown) => reason);
  expect(findModelInputError(error)).toEqual({
    message: 'There is no text to embed',
    param: 'input',
  });
  const reading = async (): Promise<void> => {
    const prompt = { tokenIds: Array.from({ length: 300 }, () => 65) };
    for await (const chunk of generation.generate({ prompt })) expect(chunk).toBeUndefined();
  };
  const streamError: unknown = await reading().catch((reason: unknown) => reason);
  expect(findModelInputError(streamError)?.message).toMatch(/300 tokens.*256 tokens/);
});

test('says what it is and that it is well', async () => {
  await Promise.all([embedding, generation, orientation].map(async (model) => model.checkHealth()));
  expect(await generation.metadata()).toMatchObject({ name: 'tiny-moby', contextTokens: 256 });
});

test('a model that is not in the catalogue never becomes an actor', async () => {
  const unknown = EmbeddingModelActor.options({ maxRestarts: 0 }).create('tiny-moby');
  await expect(ready(unknown)).rejects.toMatchObject({ name: 'ActorDiedError' });
});
