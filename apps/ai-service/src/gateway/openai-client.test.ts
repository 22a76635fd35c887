import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { serveGateway, type ServedGateway, TEST_KEY } from './testing/serve.ts';

/** The `openai` package, unchanged, is the judge of what we call OpenAI-compatible. */
let gateway: ServedGateway;
let client: OpenAI;

beforeAll(async () => {
  gateway = await serveGateway();
  client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  for (const model of gateway.registry.models) model.failure = undefined;
});

const messages = [
  { role: 'system' as const, content: 'be brief' },
  { role: 'user' as const, content: 'one two three' },
];

describe('models', () => {
  test('are listed and found by ids with slashes and versions', async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toEqual(['local/embedder', 'local/writer', 'local/echo']);
    expect(await client.models.retrieve('local/embedder')).toMatchObject({ object: 'model' });
    expect((await client.models.retrieve('local/embedder@1')).id).toBe('local/embedder');
  });

  test('that do not exist are 404 with a code', async () => {
    const error = await client.models.retrieve('local/nothing').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ code: 'model_not_found', param: 'model' });
  });
});

describe('embeddings', () => {
  test('come as the client asks by default, in base64', async () => {
    const answer = await client.embeddings.create({
      model: 'local/embedder',
      input: ['abc', 'de'],
    });
    expect(answer.data.map((item) => item.embedding)).toEqual([
      [3, 0.5, -0.25, 0.125],
      [2, 0.5, -0.25, 0.125],
    ]);
    expect(answer.data.map((item) => item.index)).toEqual([0, 1]);
    expect(answer.usage).toEqual({ prompt_tokens: 5, total_tokens: 5 });
  });

  test('come as numbers, for one text and the right number of dimensions', async () => {
    const answer = await client.embeddings.create({
      model: 'local/embedder',
      input: 'abcd',
      encoding_format: 'float',
      dimensions: 4,
    });
    expect(answer.data[0]?.embedding).toEqual([4, 0.5, -0.25, 0.125]);
  });

  test.each([
    ['input', { input: [] }],
    ['input', { input: [1, 2, 3] }],
    ['input', { input: [[1, 2]] }],
    ['input[1]', { input: ['a', 7] }],
    ['input[1]', { input: ['a', ''] }],
    ['dimensions', { dimensions: 8 }],
    ['encoding_format', { encoding_format: 'int8' }],
    ['model', { model: 'local/writer' }],
    ['colour', { colour: 'red' }],
  ])('are refused naming %s for %j', async (param, wrong) => {
    const request = { model: 'local/embedder', input: 'a', ...wrong } as never;
    const error = await client.embeddings.create(request).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ param, type: 'invalid_request_error' });
  });
});

describe('chat completions', () => {
  test('answer whole', async () => {
    const answer = await client.chat.completions.create({ model: 'local/writer', messages });
    expect(answer.choices).toMatchObject([
      {
        index: 0,
        message: { role: 'assistant', content: 'be brief\none two three ' },
        finish_reason: 'stop',
      },
    ]);
    expect(answer.usage).toEqual({ prompt_tokens: 4, completion_tokens: 4, total_tokens: 8 });
  });

  test('pass their parameters on', async () => {
    await client.chat.completions.create({
      model: 'local/writer',
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'x y' },
            { type: 'text', text: ' z' },
          ],
        },
      ],
      max_completion_tokens: 2,
      temperature: 0.5,
      top_p: 0.9,
      seed: 42,
      stop: 'END',
    });
    expect(gateway.registry.writer.requests.at(-1)).toEqual({
      prompt: { messages: [{ role: 'user', content: 'x y z' }] },
      maxTokens: 2,
      temperature: 0.5,
      topP: 0.9,
      seed: 42,
      stop: ['END'],
    });
  });

  test('may hold what the assistant said in tool calls alone', async () => {
    const tool_calls = [
      { id: '1', type: 'function' as const, function: { name: 'look', arguments: '{}' } },
    ];
    await client.chat.completions.create({
      model: 'local/writer',
      messages: [
        ...messages,
        { role: 'assistant', content: null, tool_calls },
        { role: 'tool', tool_call_id: '1', content: 'seen' },
      ],
    });
    expect(gateway.registry.writer.requests.at(-1)?.prompt).toEqual({
      messages: [
        ...messages,
        { role: 'assistant', content: '' },
        { role: 'tool', content: 'seen' },
      ],
    });
  });

  test('give several choices, each with a seed of its own', async () => {
    const answer = await client.chat.completions.create({
      model: 'local/writer',
      messages,
      n: 3,
      seed: 7,
    });
    expect(answer.choices.map((choice) => choice.index)).toEqual([0, 1, 2]);
    expect(gateway.registry.writer.requests.slice(-3).map((request) => request.seed)).toEqual([
      7, 8, 9,
    ]);
    expect(answer.usage).toEqual({ prompt_tokens: 4, completion_tokens: 12, total_tokens: 16 });
  });

  test('stream: role, text, end, and usage in a chunk of its own', async () => {
    const stream = await client.chat.completions.create({
      model: 'local/writer',
      messages: [{ role: 'user', content: 'one two' }],
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.choices)).toEqual([
      [
        {
          index: 0,
          delta: { role: 'assistant', content: '' },
          logprobs: null,
          finish_reason: null,
        },
      ],
      [{ index: 0, delta: { content: 'one ' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: 'two ' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }],
      [],
    ]);
    expect(chunks.map((chunk) => chunk.usage)).toEqual([
      null,
      null,
      null,
      null,
      { prompt_tokens: 2, completion_tokens: 2, total_tokens: 4 },
    ]);
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
  });

  test('stream without usage unless it was asked for', async () => {
    const stream = await client.chat.completions.create({
      model: 'local/writer',
      messages,
      stream: true,
    });
    for await (const chunk of stream) {
      expect(chunk).not.toHaveProperty('usage');
      expect(chunk.choices).toHaveLength(1);
    }
  });

  test('work through the client’s streaming helper', async () => {
    const stream = client.chat.completions.stream({ model: 'local/writer', messages, n: 2 });
    const final = await stream.finalChatCompletion();
    expect(final.choices.map((choice) => choice.message.content)).toEqual([
      'be brief\none two three ',
      'be brief\none two three ',
    ]);
  });

  test('that break after the first token raise an error in the client', async () => {
    const stream = await client.chat.completions.create({
      model: 'local/writer',
      messages: [{ role: 'user', content: 'a b fail:2 d' }],
      stream: true,
    });
    const read = async (): Promise<void> => {
      for await (const chunk of stream) expect(chunk.choices).toHaveLength(1);
    };
    await expect(read()).rejects.toBeInstanceOf(OpenAI.APIError);
  });

  test('that break before the first token are answered with a status', async () => {
    const error = await client.chat.completions
      .create({
        model: 'local/writer',
        messages: [{ role: 'user', content: 'fail:0' }],
        stream: true,
      })
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
  });

  test('are cancelled when the client aborts', async () => {
    const before = gateway.registry.writer.cancelled;
    const stream = await client.chat.completions.create({
      model: 'local/writer',
      messages: [{ role: 'user', content: 'hang' }],
      stream: true,
    });
    for await (const chunk of stream) {
      expect(chunk.object).toBe('chat.completion.chunk');
      stream.controller.abort();
    }
    await expect.poll(() => gateway.registry.writer.cancelled).toBe(before + 1);
  });

  test.each([
    ['messages', { messages: [] }],
    ['messages[0]', { messages: ['hi'] }],
    ['messages[0].role', { messages: [{ role: 'king', content: 'x' }] }],
    ['messages[0].content', { messages: [{ role: 'user' }] }],
    [
      'messages[0].content[0].type',
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
    ],
    ['temperature', { temperature: 3 }],
    ['top_p', { top_p: 0 }],
    ['max_tokens', { max_tokens: 0 }],
    ['n', { n: 1000 }],
    ['stop', { stop: [''] }],
    ['stream_options', { stream_options: { include_usage: true } }],
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['logprobs', { logprobs: true }],
    ['presence_penalty', { presence_penalty: 1 }],
    ['model', { model: 'local/embedder' }],
  ])('are refused naming %s for %j', async (param, wrong) => {
    const request = { model: 'local/writer', messages, ...wrong } as never;
    const error = await client.chat.completions.create(request).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status: 400, param, type: 'invalid_request_error' });
  });

  test('take parameters that ask for nothing', async () => {
    const answer = await client.chat.completions.create({
      model: 'local/writer',
      messages,
      tools: [],
      presence_penalty: 0,
      response_format: { type: 'text' },
      user: 'me',
      logprobs: null,
    });
    expect(answer.choices).toHaveLength(1);
  });
});

describe('completions', () => {
  test('answer for texts, several texts and token ids', async () => {
    const complete = async (
      prompt: string | string[] | number[] | number[][],
    ): Promise<string[]> => {
      const answer = await client.completions.create({ model: 'local/writer', prompt });
      return answer.choices.map((choice) => choice.text);
    };
    expect(await complete('a b')).toEqual(['a b ']);
    expect(await complete(['a b', 'c'])).toEqual(['a b ', 'c ']);
    expect(await complete([1, 2])).toEqual(['t1 t2 ']);
    expect(await complete([[1], [2]])).toEqual(['t1 ', 't2 ']);
  });

  test('end after 16 tokens unless told otherwise', async () => {
    const prompt = Array.from({ length: 20 }, (_, index) => index).join(' ');
    const answer = await client.completions.create({ model: 'local/writer', prompt });
    expect(answer.choices[0]?.finish_reason).toBe('length');
    expect(answer.usage?.completion_tokens).toBe(16);
  });

  test('stream', async () => {
    const stream = await client.completions.create({
      model: 'local/writer',
      prompt: 'a b',
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts: string[] = [];
    for await (const chunk of stream)
      texts.push(chunk.choices[0]?.text ?? `usage ${chunk.usage?.total_tokens}`);
    expect(texts).toEqual(['a ', 'b ', 'usage 4']);
  });

  test.each([
    ['echo', { echo: true }],
    ['suffix', { suffix: 'x' }],
    ['best_of', { best_of: 4 }],
    ['logprobs', { logprobs: 1 }],
    ['prompt', { prompt: [] }],
    ['prompt[1]', { prompt: ['a', { b: 1 }] }],
  ])('are refused naming %s', async (param, wrong) => {
    const request = { model: 'local/writer', prompt: 'a', ...wrong } as never;
    const error = await client.completions.create(request).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status: 400, param });
  });
});

test('a wrong key is an authentication error', async () => {
  const stranger = new OpenAI({ apiKey: 'sk-wrong', baseURL: `${gateway.url}/v1`, maxRetries: 0 });
  const error = await stranger.models.list().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
  expect(error).toMatchObject({ code: 'invalid_api_key' });
});
