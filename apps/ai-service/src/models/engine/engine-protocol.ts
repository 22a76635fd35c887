import type { ModelInputError } from '../errors.ts';

/**
 * Messages between a model and the worker thread that runs its engine. A call has one result, or a stream of items
 * followed by a result; `cancel` asks the thread to end a call early.
 */
export type ToEngine =
  | { type: 'call'; callId: number; method: string; payload: unknown }
  | { type: 'cancel'; callId: number }
  | { type: 'close' };

export type FromEngine =
  | { type: 'ready' }
  | { type: 'startFailed'; error: EngineErrorData }
  /** Items of any number of streams, in order: all that one turn of the thread's loop produced. */
  | { type: 'items'; items: { callId: number; item: unknown }[] }
  | { type: 'result'; callId: number; result: unknown }
  | { type: 'error'; callId: number; error: EngineErrorData };

/** An error as plain data: structured clone would keep neither its class nor its own properties. */
export interface EngineErrorData {
  name: string;
  message: string;
  stack?: string | undefined;
  param?: string | undefined;
  reason?: ModelInputError['reason'];
}
