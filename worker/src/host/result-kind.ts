import { isStream } from './stream-sender.ts';

/** What a method or function gives back: a value, one that is still to come, or items one after another. */
export type ResultKind = 'value' | 'promise' | 'stream';

/** @throws what looking at it throws, a getter or a Proxy: that is user code, as the method is. */
export function resultKind(result: unknown): ResultKind {
  if (typeof result !== 'object' || result === null) return 'value';
  if (typeof (result as Partial<PromiseLike<unknown>>).then === 'function') return 'promise';
  return isStream(result) ? 'stream' : 'value';
}
