import { setImmediate } from 'node:timers/promises';
import { ModelInputError } from '../../models/errors.ts';
import type {
  EmbeddingResult,
  GenerationChunk,
  GenerationRequest,
  ModelMetadata,
  NamedTensor,
} from '../../models/types.ts';
import type { ModelCallOptions, ModelRegistry, ServedModel } from '../model-registry.ts';

/** The registry's in-memory twin for tests of the gateway: three small models with no engine behind them. */
export class FakeRegistry implements ModelRegistry {
  readonly models: FakeModel[] = [new FakeEmbedder(), new FakeWriter(), new FakeEcho()];

  list(): readonly ServedModel[] {
    return this.models;
  }

  find(id: string, version?: string): FakeModel | undefined {
    const [name, namedVersion] = id.replace(/^local\//, '').split('@');
    const wanted = version ?? namedVersion;
    return this.models.find(
      ({ metadata }) =>
        metadata.name === name && (wanted === undefined || metadata.version === wanted),
    );
  }

  get writer(): FakeWriter {
    return this.find('writer') as FakeWriter;
  }
}

abstract class FakeModel implements ServedModel {
  readonly id: string;
  readonly metadata: ModelMetadata;
  readonly createdAt = 1_700_000_000_000;
  ready = true;
  /** Thrown by the next calls instead of an answer. */
  failure: Error | undefined;
  /** Calls whose client left or cancelled. */
  cancelled = 0;

  constructor(metadata: Partial<ModelMetadata> & Pick<ModelMetadata, 'name' | 'kind'>) {
    this.id = `local/${metadata.name}`;
    this.metadata = {
      version: '1',
      platform: 'fake',
      description: 'for tests',
      license: 'Apache-2.0',
      inputs: [],
      outputs: [],
      ...metadata,
    };
  }

  infer(inputs: NamedTensor[], _options: ModelCallOptions): Promise<NamedTensor[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return Promise.resolve(inputs.map((input) => ({ ...input, name: `${input.name}_out` })));
  }
}

/** Vectors of 4: the text's length, and three fractions that float32 holds exactly. */
class FakeEmbedder extends FakeModel {
  constructor() {
    super({ name: 'embedder', kind: 'embedding', dimensions: 4 });
  }

  readonly embed = (inputs: string[], _options: ModelCallOptions): Promise<EmbeddingResult> => {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const empty = inputs.indexOf('');
    if (empty >= 0) {
      return Promise.reject(new ModelInputError(`input ${empty} is empty`, `input[${empty}]`));
    }
    return Promise.resolve({
      vectors: Float32Array.from(inputs.flatMap((text) => [text.length, 0.5, -0.25, 0.125])),
      dimensions: 4,
      tokenCounts: inputs.map((text) => text.length),
    });
  };
}

/** Repeats its prompt word by word; `fail:N` in the prompt breaks it after N words, `hang` never ends it. */
export class FakeWriter extends FakeModel {
  /** What it was asked, newest last. */
  readonly requests: GenerationRequest[] = [];
  /** Chunks that were taken from it. */
  produced = 0;

  constructor() {
    super({ name: 'writer', kind: 'text-generation', contextTokens: 1000 });
  }

  readonly generate = (
    request: GenerationRequest,
    options: ModelCallOptions,
  ): AsyncGenerator<GenerationChunk, void, undefined> => {
    this.requests.push(request);
    return this.#counted(this.#write(request, options.signal), options.signal);
  };

  /** Counts the streams that ended neither by themselves nor by a failure of ours. */
  async *#counted(
    chunks: AsyncGenerator<GenerationChunk, void, undefined>,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationChunk, void, undefined> {
    let left = true;
    try {
      yield* chunks;
      left = false;
    } catch (error) {
      left = signal.aborted;
      throw error;
    } finally {
      if (left) this.cancelled += 1;
    }
  }

  async *#write(
    request: GenerationRequest,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationChunk, void, undefined> {
    if (this.failure !== undefined) throw this.failure;
    const words = promptText(request).split(' ');
    const failAfter = Number(/fail:(\d+)/.exec(promptText(request))?.[1] ?? Infinity);
    const cut = promptText(request).includes('cut');
    const endless = promptText(request).includes('hang');
    const count = Math.min(request.maxTokens ?? Infinity, words.length);
    for (let index = 0; endless || index < count; index += 1) {
      await setImmediate();
      signal.throwIfAborted();
      if (index >= failAfter) throw new Error('the engine broke');
      const last = index === count - 1 && !endless;
      if (last && cut) return;
      this.produced += 1;
      yield {
        text: `${words[index % words.length]} `,
        usage: { promptTokens: words.length, completionTokens: index + 1 },
        ...(last ? { finishReason: count < words.length ? 'length' : 'stop' } : {}),
      };
    }
  }
}

function promptText({ prompt }: GenerationRequest): string {
  if ('text' in prompt) return prompt.text;
  if ('tokenIds' in prompt) return prompt.tokenIds.map((id) => `t${id}`).join(' ');
  return prompt.messages.map((message) => message.content).join('\n');
}

/** Answers every tensor with itself, under its name with `_out`. */
class FakeEcho extends FakeModel {
  constructor() {
    super({
      name: 'echo',
      kind: 'tensor',
      version: '3',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'x_out', datatype: 'FP32', shape: [-1, 2] }],
    });
  }
}
