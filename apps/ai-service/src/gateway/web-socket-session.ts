import { Body, isObject, parseJson } from './body.ts';
import type { TokenUsage } from './exchange.ts';
import { type Failure, failureOf } from './failure.ts';
import type { WebSocketConnection, WebSocketHandlers } from './http/http-server.ts';
import { Waiters } from './http/waiters.ts';
import { JsonBytes } from './json-bytes.ts';
import type { ModelCallOptions, ModelRegistry, ServedModel } from './model-registry.ts';
import { invalid, RequestError } from './request-error.ts';
import { readChatJob } from './routes/openai-chat.ts';
import { readCompletionJob } from './routes/openai-completions.ts';
import { embed, readEmbeddingRequest } from './routes/openai-embeddings.ts';
import { openAiFailure } from './routes/openai-failure.ts';
import type { GenerationJob } from './routes/generation.ts';
import { findModel } from './routes/open-inference.ts';
import { infer, readInferenceRequest } from './tensors/inference.ts';

/** Requests that may run on one socket at the same time; more are refused, not queued. */
const ONGOING_MAX = 32;
/** A client that sends on without reading its answers is disconnected. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;
const ID_LENGTH_MAX = 128;

export interface EndedRequest {
  type: string;
  /** As over HTTP. */
  status: number;
  durationMs: number;
  error?: unknown;
  model?: ServedModel;
  usage?: TokenUsage;
}

export interface SessionObserver {
  closed(): void;
  requestBegan(): void;
  requestEnded(request: EndedRequest): void;
}

interface Request {
  id: string;
  type: string;
  body: unknown;
  /** Tensors that came with a binary frame. */
  binary: Uint8Array;
}

/**
 * One WebSocket with many requests. A text frame is JSON `{id, type, body}`; a binary frame is the length of such JSON
 * (4 bytes, little-endian), the JSON, and the tensors that its body announces. Each request is answered by frames with
 * its id: `delta`s or a `result`, then `done`; or an `error`, which ends it too.
 */
export class WebSocketSession implements WebSocketHandlers {
  readonly #socket: WebSocketConnection;
  readonly #registry: ModelRegistry;
  readonly #observer: SessionObserver;
  readonly #ongoing = new Map<string, AbortController>();
  readonly #idle = new Waiters();

  constructor(socket: WebSocketConnection, registry: ModelRegistry, observer: SessionObserver) {
    this.#socket = socket;
    this.#registry = registry;
    this.#observer = observer;
  }

  message(message: Buffer, isBinary: boolean): void {
    let id: string | undefined;
    try {
      const { frame, binary } = isBinary
        ? splitBinary(message)
        : { frame: parseJson(message), binary: EMPTY };
      id = readId(frame);
      this.#dispatch(id, new Body(frame), binary);
    } catch (error) {
      this.#sendError(id ?? null, failureOf(error));
      if (this.#socket.bufferedBytes > UNREAD_BYTES_MAX)
        this.#socket.close(1008, 'answers are not read');
    }
  }

  close(): void {
    for (const controller of this.#ongoing.values()) controller.abort();
    this.#observer.closed();
  }

  drain(): Promise<void> {
    return this.#ongoing.size === 0 ? Promise.resolve() : this.#idle.wait();
  }

  #dispatch(id: string, frame: Body, binary: Uint8Array): void {
    const type = frame.string('type');
    if (type === 'cancel') {
      // A request that has just ended is not an error: its last frame and the cancel crossed.
      this.#ongoing.get(id)?.abort();
      return;
    }
    if (!Object.hasOwn(ANSWERS, type)) {
      const known = [...Object.keys(ANSWERS), 'cancel'].join(', ');
      throw invalid('type', `'type' must be one of ${known}`);
    }
    if (this.#ongoing.has(id)) {
      throw new RequestError(400, `a request with the id '${id}' is still running on this socket`, {
        param: 'id',
        code: 'duplicate_id',
      });
    }
    if (this.#ongoing.size >= ONGOING_MAX) {
      throw new RequestError(
        429,
        `${ONGOING_MAX} requests run on this socket, which is the most it may have`,
        {
          code: 'too_many_requests',
        },
      );
    }
    if (binary.byteLength > 0 && type !== 'infer') {
      throw invalid('type', "only 'infer' takes bytes after its JSON");
    }
    void this.#serve({ id, type, body: frame.required('body'), binary });
  }

  /** Never rejects. */
  async #serve(request: Request): Promise<void> {
    const startedAt = performance.now();
    const controller = new AbortController();
    const { signal } = controller;
    const ended: EndedRequest = { type: request.type, status: 200, durationMs: 0 };
    const send: Send = (frame, binary) => this.#send(request.id, frame, binary);
    this.#ongoing.set(request.id, controller);
    this.#observer.requestBegan();
    try {
      await ANSWERS[request.type]?.({
        request,
        registry: this.#registry,
        options: { signal },
        send,
        ended,
      });
      this.#ongoing.delete(request.id);
      await send({ type: 'done' });
    } catch (error) {
      const failure = signal.aborted ? CANCELLED : failureOf(error);
      ended.error = error;
      ended.status = failure.status;
      this.#ongoing.delete(request.id);
      this.#sendError(request.id, failure);
    }
    ended.durationMs = performance.now() - startedAt;
    this.#observer.requestEnded(ended);
    if (this.#ongoing.size === 0) this.#idle.wake();
  }

  async #send(id: string | null, frame: object, binary: readonly Uint8Array[] = []): Promise<void> {
    const json = jsonOf({ id, ...frame });
    const message = binary.length === 0 ? json : joinBinary(json, binary);
    if (!this.#socket.send(message)) await this.#socket.drained();
  }

  #sendError(id: string | null, failure: Failure): void {
    const frame = {
      id,
      type: 'error',
      status: failure.status,
      ...(openAiFailure(failure) as object),
    };
    this.#socket.send(JSON.stringify(frame));
  }
}

type Send = (frame: object, binary?: readonly Uint8Array[]) => Promise<void>;

interface Work {
  request: Request;
  registry: ModelRegistry;
  options: ModelCallOptions;
  send: Send;
  /** Takes what the counters want to know. */
  ended: EndedRequest;
}

const ANSWERS: Record<string, (work: Work) => Promise<void>> = {
  chat: (work) => generate(readChatJob(work.request.body, work.registry), work),
  completion: (work) => generate(readCompletionJob(work.request.body, work.registry), work),
  embedding: async ({ request, registry, options, send, ended }) => {
    const embedding = readEmbeddingRequest(request.body, registry);
    const answer = await embed(embedding, options);
    Object.assign(ended, { model: embedding.model, usage: answer.usage });
    await send({ type: 'result', body: answer.json });
  },
  infer: async ({ request, registry, options, send, ended }) => {
    const fields = new Body(request.body);
    const model = findModel(registry, fields.string('model'), fields.optionalString('version'));
    ended.model = model;
    const answer = await infer(model, readInferenceRequest(request.body, request.binary), options);
    await send({ type: 'result', body: answer.json }, answer.binary);
  },
};

async function generate(job: GenerationJob, { options, send, ended }: Work): Promise<void> {
  ended.model = job.model;
  try {
    if (!job.streamed) {
      await send({ type: 'result', body: await job.result(options) });
      return;
    }
    for await (const chunk of job.chunks(options)) {
      options.signal.throwIfAborted();
      await send({ type: 'delta', body: chunk });
    }
  } finally {
    ended.usage = job.usage();
  }
}

const EMPTY = new Uint8Array(0);

const CANCELLED: Failure = {
  status: 499,
  type: 'cancelled',
  message: 'the request was cancelled',
  param: null,
  code: 'cancelled',
};

function readId(frame: unknown): string {
  const id = isObject(frame) ? frame['id'] : undefined;
  if (typeof id !== 'string' || id === '' || id.length > ID_LENGTH_MAX) {
    throw invalid('id', `'id' must be a string of 1 to ${ID_LENGTH_MAX} characters`);
  }
  return id;
}

function splitBinary(message: Buffer): { frame: unknown; binary: Uint8Array } {
  const length = message.byteLength < 4 ? Infinity : message.readUInt32LE(0);
  if (4 + length > message.byteLength) {
    throw new RequestError(
      400,
      'a binary frame must begin with the length of its JSON, 4 bytes little-endian',
    );
  }
  return {
    frame: parseJson(message.subarray(4, 4 + length)),
    binary: message.subarray(4 + length),
  };
}

/** A body may have been written already. */
function jsonOf(frame: { id: string | null; body?: unknown }): string {
  if (!(frame.body instanceof JsonBytes)) return JSON.stringify(frame);
  const { body, ...head } = frame;
  return `${JSON.stringify(head).slice(0, -1)},"body":${body.toString()}}`;
}

function joinBinary(json: string, binary: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(Buffer.byteLength(json));
  return Buffer.concat([head, Buffer.from(json), ...binary]);
}
