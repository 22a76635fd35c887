import { parentPort, workerData, type TransferListItem } from 'node:worker_threads';
import { engineErrorToData } from './engine-errors.ts';
import type { FromEngine, ToEngine } from './engine-protocol.ts';

export interface EngineCall {
  payload: unknown;
  /** Aborts when the caller has left. */
  signal: AbortSignal;
  /** Sends one item of the call's stream. */
  readonly send: (item: unknown) => void;
}

/** What a call answers, with the buffers that move to the caller instead of being copied. */
export interface EngineAnswer {
  result: unknown;
  transfer?: TransferListItem[];
}

export interface Engine extends AsyncDisposable {
  /** @throws for a method it does not know. */
  call(method: string, call: EngineCall): Promise<EngineAnswer>;
}

/**
 * The inside of an engine's worker thread: starts the engine with the thread's options, then answers calls until it is
 * told to close.
 */
export async function serveEngine(start: (options: unknown) => Promise<Engine>): Promise<void> {
  if (parentPort === null) throw new Error('An engine is served in a worker thread only');
  const outbox = new Outbox((message, transfer) => parentPort?.postMessage(message, transfer));
  let engine: Engine;
  try {
    engine = await start(workerData);
  } catch (error) {
    outbox.send({ type: 'startFailed', error: engineErrorToData(error) });
    parentPort.close();
    return;
  }
  const running = new Map<number, AbortController>();

  const answer = async (callId: number, method: string, payload: unknown): Promise<void> => {
    const controller = new AbortController();
    running.set(callId, controller);
    try {
      const { result, transfer } = await engine.call(method, {
        payload,
        signal: controller.signal,
        send: (item) => outbox.sendItem(callId, item),
      });
      outbox.send({ type: 'result', callId, result }, transfer);
    } catch (error) {
      outbox.send({ type: 'error', callId, error: engineErrorToData(error) });
    } finally {
      running.delete(callId);
    }
  };

  const close = async (): Promise<void> => {
    for (const controller of running.values()) controller.abort();
    await engine[Symbol.asyncDispose]();
    parentPort?.close();
  };

  parentPort.on('message', (message: ToEngine) => {
    if (message.type === 'call') void answer(message.callId, message.method, message.payload);
    else if (message.type === 'cancel') running.get(message.callId)?.abort();
    else void close();
  });
  outbox.send({ type: 'ready' });
}

/** Gathers the stream items of one turn into one message; anything else goes at once, after the items before it. */
class Outbox {
  readonly #post: (message: FromEngine, transfer: TransferListItem[]) => void;
  #items: { callId: number; item: unknown }[] = [];

  constructor(post: (message: FromEngine, transfer: TransferListItem[]) => void) {
    this.#post = post;
  }

  sendItem(callId: number, item: unknown): void {
    if (this.#items.length === 0) queueMicrotask(() => this.#flush());
    this.#items.push({ callId, item });
  }

  send(message: FromEngine, transfer: TransferListItem[] = []): void {
    this.#flush();
    this.#post(message, transfer);
  }

  #flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#post({ type: 'items', items }, []);
  }
}
