import { setMaxListeners } from 'node:events';
import type { FinishReason, GenerationChunk, GenerationPrompt } from '../../models/types.ts';
import type { Exchange, TokenUsage } from '../exchange.ts';
import { failureOf } from '../failure.ts';
import { ClientGoneError } from '../http/http-server.ts';
import type { ModelCallOptions, ServedModel } from '../model-registry.ts';
import { RequestError } from '../request-error.ts';
import { ServerSentEvents } from '../server-sent-events.ts';
import type { GenerationParameters } from './generation-parameters.ts';
import { openAiFailure } from './openai-failure.ts';

/** A generation that was asked for and checked, whatever carries it. */
export interface GenerationJob {
  readonly model: ServedModel;
  readonly streamed: boolean;
  /** Of what was produced so far. */
  usage(): TokenUsage;
  /** The whole answer in one body. */
  result(options: ModelCallOptions): Promise<unknown>;
  /** The answer as the protocol's chunks, the first of them with the first token. Throws if it does not complete. */
  chunks(options: ModelCallOptions): AsyncGenerator<unknown, void, undefined>;
}

/** Answers a job over HTTP. What fails before the first token is answered with a status; later, with an event. */
export async function answerGeneration(exchange: Exchange, job: GenerationJob): Promise<void> {
  exchange.serveWith(job.model);
  try {
    if (job.streamed) await streamGeneration(exchange, job);
    else
      exchange.sendJson(200, await exchange.timed(job.result({ signal: exchange.request.signal })));
  } finally {
    exchange.usage = job.usage();
  }
}

async function streamGeneration(exchange: Exchange, job: GenerationJob): Promise<void> {
  const { signal } = exchange.request;
  const chunks = job.chunks({ signal });
  const first = await exchange.timed(chunks.next());
  const events = new ServerSentEvents(exchange);
  try {
    if (first.done !== true) await events.send(first.value);
    for await (const chunk of chunks) {
      if (signal.aborted) throw new ClientGoneError();
      if (exchange.life.isStopping) throw new RequestError(503, 'the service is shutting down');
      await events.send(chunk);
    }
    events.complete();
  } catch (error) {
    events.break(openAiFailure(failureOf(error)));
    throw error;
  }
}

/** OpenAI's form. */
export function usageBody({ promptTokens, completionTokens }: TokenUsage): unknown {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

export interface ChoiceChunk {
  choice: number;
  chunk: GenerationChunk;
}

/** All choices of a request, generated side by side. */
export class Generation {
  readonly #parameters: GenerationParameters;
  readonly #prompts: readonly GenerationPrompt[];
  readonly #latest: (GenerationChunk | undefined)[] = [];

  constructor(parameters: GenerationParameters, prompts: readonly GenerationPrompt[]) {
    this.#parameters = parameters;
    this.#prompts = prompts;
  }

  get choices(): number {
    return this.#prompts.length * this.#parameters.choicesPerPrompt;
  }

  /** @throws RequestError when a choice ends without a finish reason: its text is not complete. */
  async *run({ signal }: ModelCallOptions): AsyncGenerator<ChoiceChunk, void, undefined> {
    // One choice that fails, or a consumer that leaves, ends the work on all.
    const ending = new AbortController();
    const end = (): void => ending.abort(signal.reason);
    setMaxListeners(0, ending.signal);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    try {
      const options = { signal: ending.signal };
      const streams = Array.from({ length: this.choices }, (_, choice) =>
        this.#start(choice, options),
      );
      for await (const { index, value } of merge(streams)) {
        this.#latest[index] = value;
        yield { choice: index, chunk: value };
      }
      this.#assertComplete();
    } finally {
      signal.removeEventListener('abort', end);
      ending.abort();
    }
  }

  #assertComplete(): void {
    for (let choice = 0; choice < this.choices; choice += 1) {
      if (this.#latest[choice]?.finishReason !== undefined) continue;
      throw new RequestError(502, 'the model stopped before its text was complete');
    }
  }

  async texts(options: ModelCallOptions): Promise<{ text: string; finishReason: FinishReason }[]> {
    const texts = Array.from({ length: this.choices }, () => '');
    for await (const { choice, chunk } of this.run(options)) texts[choice] += chunk.text;
    return texts.map((text, choice) => ({
      text,
      finishReason: this.#latest[choice]?.finishReason ?? 'stop',
    }));
  }

  /** Of what was produced so far; a prompt with several choices counts once. */
  usage(): TokenUsage {
    const { choicesPerPrompt } = this.#parameters;
    let promptTokens = 0;
    let completionTokens = 0;
    this.#latest.forEach((chunk, choice) => {
      if (choice % choicesPerPrompt === 0) promptTokens += chunk?.usage.promptTokens ?? 0;
      completionTokens += chunk?.usage.completionTokens ?? 0;
    });
    return { promptTokens, completionTokens };
  }

  #start(choice: number, options: ModelCallOptions): AsyncIterable<GenerationChunk> {
    const { model, sampling, choicesPerPrompt } = this.#parameters;
    const sample = choice % choicesPerPrompt;
    const prompt = this.#prompts[(choice - sample) / choicesPerPrompt];
    if (prompt === undefined) throw new RangeError(`no prompt for choice ${choice}`);
    const request = { ...sampling, prompt };
    // The same seed for every choice would make every choice the same.
    if (sampling.seed !== undefined) request.seed = sampling.seed + sample;
    return model.generate(request, options);
  }
}

/** The values of all streams as they come. Ends when all have ended; leaving it leaves them all. */
async function* merge<T>(
  streams: AsyncIterable<T>[],
): AsyncGenerator<{ index: number; value: T }, void, undefined> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  const pending = new Map<number, Promise<{ index: number; result: IteratorResult<T> }>>();
  const pull = (index: number, iterator: AsyncIterator<T>): void => {
    pending.set(
      index,
      iterator.next().then((result) => ({ index, result })),
    );
  };
  iterators.forEach((iterator, index) => pull(index, iterator));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      const iterator = iterators[index];
      if (result.done === true || iterator === undefined) {
        pending.delete(index);
        continue;
      }
      pull(index, iterator);
      yield { index, value: result.value };
    }
  } finally {
    // One failure is reported; the others, and those of leaving, would tell nobody anything.
    void Promise.allSettled(pending.values());
    void Promise.allSettled(iterators.map(async (iterator) => iterator.return?.()));
  }
}
