import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TINY_MOBY } from '../catalog.ts';
import type { GenerationChunk, GenerationRequest, NamedTensor } from '../types.ts';
import { OnnxTextGenerationModel } from './onnx-text-generation-model.ts';

function readJson(name: string): object {
  return JSON.parse(readFileSync(join(TINY_MOBY.modelFolder, name), 'utf8')) as object;
}

const reference = readJson('greedy-reference.json') as { prompt: number[]; greedy: number[] };
const tokenizer = new Tokenizer(readJson('tokenizer.json'), readJson('tokenizer_config.json'));
const GREEDY = { temperature: 0 };
const ISHMAEL = { prompt: { text: 'Call me Ishmael.' } };

let model: OnnxTextGenerationModel;
beforeAll(async () => {
  model = await OnnxTextGenerationModel.load(TINY_MOBY);
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
});

interface Completion {
  text: string;
  chunks: GenerationChunk[];
  last: GenerationChunk;
}

async function complete(request: GenerationRequest, signal?: AbortSignal): Promise<Completion> {
  const chunks: GenerationChunk[] = [];
  for await (const chunk of model.generate(request, signal)) chunks.push(chunk);
  const last = chunks.at(-1);
  if (last === undefined) throw new Error('The stream had no chunk');
  return { text: chunks.map(({ text }) => text).join(''), chunks, last };
}

describe('decoding', () => {
  test('continues the reference prompt with the 24 tokens that PyTorch chose', async () => {
    const continuation = reference.greedy.slice(reference.prompt.length);
    expect(continuation).toHaveLength(24);
    for (const prompt of [
      { tokenIds: reference.prompt },
      { text: tokenizer.decode(reference.prompt) },
    ]) {
      const { text, last } = await complete({ prompt, ...GREEDY, maxTokens: 24 });
      expect(text).toBe(tokenizer.decode(continuation));
      expect(last.finishReason).toBe('length');
      expect(last.usage).toEqual({ promptTokens: 8, completionTokens: 24 });
    }
  });

  test('streams: one chunk per token where text is plain, the finish in the last one only', async () => {
    const { chunks } = await complete({ ...ISHMAEL, ...GREEDY, maxTokens: 12 });
    expect(chunks.length).toBeGreaterThan(6);
    const counts = chunks.map(({ usage }) => usage.completionTokens);
    expect(counts).toEqual([...new Set(counts)].sort((a, b) => a - b));
    expect(chunks.filter(({ finishReason }) => finishReason !== undefined)).toHaveLength(1);
  });

  test('gives the same text for the same seed and other texts for other seeds', async () => {
    const request = { ...ISHMAEL, maxTokens: 40, temperature: 0.9, topP: 0.95 };
    const [first, second, ...others] = await Promise.all(
      [7, 7, 8, -9, 2 ** 40].map(async (seed) => (await complete({ ...request, seed })).text),
    );
    expect(second).toBe(first);
    expect(new Set([first, ...others]).size).toBe(4);
  });

  test('draws a seed of its own when none is given', async () => {
    const texts = await Promise.all(
      Array.from({ length: 4 }, async () => (await complete({ ...ISHMAEL, maxTokens: 30 })).text),
    );
    expect(new Set(texts).size).toBe(4);
  });

  test('gives each of many sequences of different lengths what it gets alone', async () => {
    const requests = Array.from({ length: 24 }, (_, index) => ({
      prompt: { text: 'The whale and the ship. '.repeat(1 + (index % 5)) + index },
      maxTokens: 5 + 3 * index,
      temperature: index % 2 === 0 ? 0 : 0.8,
      seed: index,
    }));
    const together = await Promise.all(requests.map(async (request) => complete(request)));
    for (const [index, request] of requests.entries()) {
      const alone = await complete(request);
      expect(together[index]?.text).toBe(alone.text);
      expect(together[index]?.last).toEqual(alone.last);
    }
  });

  test('interleaves: a short request ends while a long one runs', async () => {
    const order: string[] = [];
    const long = complete({ ...ISHMAEL, ...GREEDY, maxTokens: 200 }).then(() => order.push('long'));
    const short = complete({ ...ISHMAEL, ...GREEDY, maxTokens: 3 }).then(() => order.push('short'));
    await Promise.all([long, short]);
    expect(order).toEqual(['short', 'long']);
  });
});

describe('ends', () => {
  test('stops before a stop sequence that spans tokens, and never sends any of it', async () => {
    const whole = (await complete({ ...ISHMAEL, ...GREEDY, maxTokens: 80 })).text;
    for (let start = 5; start < 60; start += 5) {
      const stop = whole.slice(start, start + 7);
      const { text, last } = await complete({ ...ISHMAEL, ...GREEDY, maxTokens: 80, stop: [stop] });
      expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
      expect(last.finishReason).toBe('stop');
      expect(last.usage.completionTokens).toBeLessThanOrEqual(80);
    }
  });

  test('uses up the context and says so', async () => {
    const { last } = await complete({ ...ISHMAEL, seed: 1, maxTokens: 100_000 });
    expect(last.usage.promptTokens + last.usage.completionTokens).toBe(256);
    expect(last.finishReason).toBe('length');
  });

  test('takes a prompt that leaves room for one token', async () => {
    const tokenIds = Array.from({ length: 255 }, (_, index) => index);
    const { last } = await complete({ prompt: { tokenIds } });
    expect(last.usage).toEqual({ promptTokens: 255, completionTokens: 1 });
  });

  test('refuses a longer prompt with both numbers', async () => {
    const tokenIds = Array.from({ length: 300 }, () => 65);
    const refused = complete({ prompt: { tokenIds } });
    await expect(refused).rejects.toMatchObject({
      name: 'ModelInputError',
      reason: 'context_length_exceeded',
    });
    await expect(refused).rejects.toThrow(/300 tokens.*256 tokens/);
    const hopeless = complete({ prompt: { text: 'whale '.repeat(1_000_000) } });
    await expect(hopeless).rejects.toThrow(/at least \d+ tokens.*256 tokens/);
  });

  test('leaving the loop or aborting ends the work', async () => {
    for await (const chunk of model.generate({ ...ISHMAEL, seed: 1 })) {
      expect(chunk.finishReason).toBeUndefined();
      break;
    }
    const abort = new AbortController();
    const seen: string[] = [];
    const reading = async (): Promise<void> => {
      for await (const { text } of model.generate({ ...ISHMAEL, seed: 1 }, abort.signal)) {
        seen.push(text);
        if (seen.length === 3) abort.abort(new Error('the caller left'));
      }
    };
    await expect(reading()).rejects.toThrow('the caller left');
    expect(seen.length).toBeLessThan(10);
  });

  test('sends nothing for a call that was aborted before', async () => {
    const aborted = complete(ISHMAEL, AbortSignal.abort(new Error('too late')));
    await expect(aborted).rejects.toThrow('too late');
  });
});

describe('requests', () => {
  test.each([
    [{ maxTokens: 0 }, 'maxTokens'],
    [{ maxTokens: 1.5 }, 'maxTokens'],
    [{ temperature: -0.1 }, 'temperature'],
    [{ temperature: Number.NaN }, 'temperature'],
    [{ topP: 0 }, 'topP'],
    [{ topP: 1.01 }, 'topP'],
    [{ seed: 0.5 }, 'seed'],
    [{ stop: [''] }, 'stop'],
    [{ stop: Array.from({ length: 17 }, String) }, 'stop'],
    [{ prompt: { tokenIds: [1024] } }, 'prompt'],
    [{ prompt: { tokenIds: [-1] } }, 'prompt'],
    [{ prompt: { messages: [] } }, 'messages'],
  ])('refuses %j', async (change, param) => {
    const refused = complete({ ...ISHMAEL, ...change });
    await expect(refused).rejects.toMatchObject({ name: 'ModelInputError', param });
  });

  test('takes a conversation as paragraphs, and nothing as the beginning of a text', async () => {
    const messages = [
      { role: 'system', content: 'You are a whaler.' },
      { role: 'user', content: 'Call me Ishmael.' },
    ];
    const chat = await complete({ prompt: { messages }, ...GREEDY, maxTokens: 10 });
    const text = await complete({
      prompt: { text: 'You are a whaler.\n\nCall me Ishmael.' },
      ...GREEDY,
      maxTokens: 10,
    });
    expect(chat).toEqual(text);
    const { last } = await complete({ prompt: { text: '' }, ...GREEDY, maxTokens: 2 });
    expect(last.usage).toEqual({ promptTokens: 1, completionTokens: 2 });
  });

  test('counts tokens as generation does', async () => {
    expect(await model.countTokens({ tokenIds: reference.prompt })).toBe(8);
    const count = await model.countTokens(ISHMAEL.prompt);
    expect(count).toBe((await complete({ ...ISHMAEL, maxTokens: 1 })).last.usage.promptTokens);
  });
});

describe('Open Inference Protocol', () => {
  const text = (content: string): NamedTensor => ({
    name: 'text_input',
    datatype: 'BYTES',
    shape: [1],
    data: [content],
  });

  test('generates from tensors what generate does', async () => {
    const expected = await complete({ ...ISHMAEL, maxTokens: 9, temperature: 0.5, seed: 3 });
    const outputs = await model.infer([
      text('Call me Ishmael.'),
      { name: 'max_tokens', datatype: 'INT32', shape: [1], data: Int32Array.of(9) },
      { name: 'temperature', datatype: 'FP32', shape: [1], data: Float32Array.of(0.5) },
      { name: 'seed', datatype: 'INT64', shape: [1], data: BigInt64Array.of(3n) },
    ]);
    expect(outputs).toEqual([
      { name: 'text_output', datatype: 'BYTES', shape: [1], data: [expected.text] },
    ]);
  });

  test('takes any 64-bit seed', async () => {
    const seed = BigInt64Array.of(2n ** 63n - 1n);
    const outputs = await model.infer([
      text('a'),
      { name: 'max_tokens', datatype: 'INT32', shape: [1], data: Int32Array.of(1) },
      { name: 'seed', datatype: 'INT64', shape: [1], data: seed },
    ]);
    expect(outputs).toHaveLength(1);
  });
});

test('a closed model refuses work, and closing ends what runs', async () => {
  const closing = await OnnxTextGenerationModel.load(TINY_MOBY);
  const stream = closing.generate({ ...ISHMAEL, seed: 1 });
  expect((await stream.next()).done).toBe(false);
  await closing[Symbol.asyncDispose]();
  await expect(
    (async () => {
      for await (const chunk of stream) expect(chunk).toBeDefined();
    })(),
  ).rejects.toMatchObject({ name: 'ModelEngineError' });
  await expect(closing.generate(ISHMAEL).next()).rejects.toMatchObject({
    name: 'ModelEngineError',
  });
});
