import { Worker, type TransferListItem } from 'node:worker_threads';
import { ModelEngineError } from '../errors.ts';
import { deferred } from './deferred.ts';
import { engineErrorFromData } from './engine-errors.ts';
import type { FromEngine, ToEngine } from './engine-protocol.ts';
import { StreamBuffer } from './stream-buffer.ts';

/**
 * ONNX Runtime sends usage data to its maker and leaves files in the temporary folder unless told not to. It reads the
 * variable of the process, which only the main thread can set, and this file is where an engine's thread begins.
 */
process.env['ORT_DISABLE_TELEMETRY'] ??= '1';

export interface EngineThreadOptions {
  /** Shown in diagnostics and errors, for example `use-lite`. */
  name: string;
  /** The thread's entry module, a built JavaScript file that calls `serveEngine`. */
  entryFile: string;
  /** Given to the entry module as its `workerData`. */
  options: unknown;
}

export interface EngineCallOptions {
  signal?: AbortSignal | undefined;
  transfer?: readonly TransferListItem[];
}

interface PendingCall {
  onItem(item: unknown): void;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/**
 * A worker thread that runs one engine. An ONNX session blocks its thread while it runs, so a model's engine never
 * shares a thread with an event loop that serves requests.
 *
 * When the thread dies, all that is running fails and so does everything after: whoever owns the model replaces it.
 */
export class EngineThread implements AsyncDisposable {
  readonly #name: string;
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingCall>();
  readonly #started = deferred<void>();
  readonly #exited = deferred<void>();
  readonly #failed = deferred<Error>();
  #callIdLast = 0;
  #failure: Error | undefined;
  #closed = false;

  constructor(options: EngineThreadOptions) {
    this.#name = options.name;
    // Nobody has to wait for the start; each call fails by itself when it failed.
    this.#started.promise.catch(() => undefined);
    this.#worker = new Worker(options.entryFile, {
      name: options.name,
      workerData: options.options,
    });
    this.#worker.on('message', (message: FromEngine) => this.#receive(message));
    this.#worker.on('messageerror', (error) =>
      this.#fail(this.#describe('sent a broken message', error)),
    );
    this.#worker.on('error', (error) => this.#fail(this.#describe('died', error)));
    this.#worker.on('exit', (exitCode) => {
      if (!this.#closed) this.#fail(this.#describe(`ended with exit code ${exitCode}`));
      this.#exited.resolve();
    });
  }

  /** Resolves when the engine has loaded; rejects when it could not. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Resolves with the reason when the thread has failed; never when it was closed in good order. */
  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  /** Runs `method` in the thread. Aborting rejects at once and tells the thread to stop working on it. */
  async call(method: string, payload: unknown, options: EngineCallOptions = {}): Promise<unknown> {
    const { promise, resolve, reject } = deferred<unknown>();
    const cancel = this.#send(method, payload, options, {
      onItem: () => undefined,
      resolve,
      reject,
    });
    const onAbort = (): void => {
      cancel();
      reject(options.signal?.reason);
    };
    options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await promise;
    } finally {
      options.signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Runs `method` and yields the items it sends. Leaving the loop or aborting tells the thread to stop. */
  async *stream(
    method: string,
    payload: unknown,
    options: EngineCallOptions = {},
  ): AsyncGenerator<unknown, void, undefined> {
    const buffer = new StreamBuffer();
    const cancel = this.#send(method, payload, options, {
      onItem: (item) => buffer.push(item),
      resolve: () => buffer.end(),
      reject: (error) => buffer.fail(error),
    });
    const onAbort = (): void => {
      cancel();
      buffer.fail(options.signal?.reason);
    };
    options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      yield* buffer;
    } finally {
      options.signal?.removeEventListener('abort', onAbort);
      cancel();
    }
  }

  /** Ends what is running and frees the engine. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed && this.#failure === undefined) {
      this.#closed = true;
      this.#rejectAll(new ModelEngineError(`The engine of model ${this.#name} was closed`));
      this.#post({ type: 'close' });
    }
    await this.#exited.promise;
  }

  #send(
    method: string,
    payload: unknown,
    options: EngineCallOptions,
    pending: PendingCall,
  ): () => void {
    options.signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new ModelEngineError(`The engine of model ${this.#name} is closed`);
    const callId = ++this.#callIdLast;
    this.#post({ type: 'call', callId, method, payload }, options.transfer);
    this.#pending.set(callId, pending);
    return () => {
      if (this.#pending.delete(callId) && !this.#closed) this.#post({ type: 'cancel', callId });
    };
  }

  #post(message: ToEngine, transfer: readonly TransferListItem[] = []): void {
    this.#worker.postMessage(message, [...transfer]);
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'ready':
        this.#started.resolve();
        return;
      case 'startFailed':
        this.#fail(this.#describe('could not start', engineErrorFromData(message.error)));
        return;
      case 'items':
        for (const { callId, item } of message.items) this.#pending.get(callId)?.onItem(item);
        return;
      case 'result':
        this.#take(message.callId)?.resolve(message.result);
        return;
      case 'error':
        this.#take(message.callId)?.reject(engineErrorFromData(message.error));
    }
  }

  /** A call that was cancelled here may still answer; nobody waits for that answer. */
  #take(callId: number): PendingCall | undefined {
    const pending = this.#pending.get(callId);
    this.#pending.delete(callId);
    return pending;
  }

  #describe(what: string, cause?: unknown): ModelEngineError {
    const reason = cause instanceof Error ? `: ${cause.message}` : '';
    return new ModelEngineError(`The engine of model ${this.#name} ${what}${reason}`, { cause });
  }

  #fail(failure: Error): void {
    if (this.#failure !== undefined || this.#closed) return;
    this.#failure = failure;
    this.#started.reject(failure);
    this.#rejectAll(failure);
    this.#failed.resolve(failure);
    // The thread may be alive though useless; its exit is awaited when the model is disposed.
    void this.#worker.terminate();
  }

  #rejectAll(error: Error): void {
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}
