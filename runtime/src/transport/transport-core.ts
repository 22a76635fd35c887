import { ClusterUnavailableError, InvalidArgumentError } from '../errors/errors.ts';
import type { ConnectionStatus, MessageHandler } from './transport.ts';

/** How long drain() waits for handlers that owe an answer. */
export const ANSWER_GRACE_MS = 1_000;

/** Listeners of a connection's state; each change is told once. */
export class StatusBoard {
  #status: ConnectionStatus = 'connected';
  readonly #listeners = new Set<(status: ConnectionStatus) => void>();

  get status(): ConnectionStatus {
    return this.#status;
  }

  listen(listener: (status: ConnectionStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** 'closed' is final. */
  change(status: ConnectionStatus): void {
    if (status === this.#status || this.#status === 'closed') return;
    this.#status = status;
    for (const listener of this.#listeners) listener(status);
  }
}

export function checkPayload(payload: Uint8Array, maxPayloadBytes: number, subject: string): void {
  if (payload.length <= maxPayloadBytes) return;
  throw new InvalidArgumentError(
    `The message for '${subject}' has ${payload.length} bytes; the message bus takes at most ${maxPayloadBytes}.`,
  );
}

export function closedError(): ClusterUnavailableError {
  return new ClusterUnavailableError('This connection to the message bus was closed.');
}

export function lostError(subject: string): ClusterUnavailableError {
  return new ClusterUnavailableError(
    `The connection to the message bus was lost while waiting for an answer on '${subject}'; it may or may not have been handled.`,
  );
}

export function reconnectingError(): ClusterUnavailableError {
  return new ClusterUnavailableError(
    'The connection to the message bus is down; it is being restored.',
  );
}

/** A handler must not throw; when it does, the process hears of it as an uncaught exception and the bus goes on. */
export function runHandler(handler: MessageHandler, ...message: Parameters<MessageHandler>): void {
  try {
    handler(...message);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Counts the requests that a handler has not answered yet, so that a drain can wait for them. */
export class UnansweredCount {
  #count = 0;
  #whenZero: (() => void)[] = [];

  track(reply: (payload: Uint8Array) => void): (payload: Uint8Array) => void {
    this.#count++;
    let answered = false;
    return (payload) => {
      if (!answered) {
        answered = true;
        this.#count--;
        if (this.#count === 0) for (const resolve of this.#whenZero.splice(0)) resolve();
      }
      reply(payload);
    };
  }

  /** Resolves when every request has its answer. */
  whenZero(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenZero.push(resolve);
    });
  }
}
