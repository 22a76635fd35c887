import { TaskCancelledError } from '@manta/runtime/errors/errors';
import { DEFAULT_BUFFERED_ITEMS } from '@manta/runtime/rpc/records';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { IncomingCall } from './incoming-call.ts';

export type Stream = AsyncIterable<unknown> | Iterable<unknown>;

/** An async iterable, or a generator: not an array, a map or a string, which are values. */
export function isStream(value: unknown): value is Stream {
  if (typeof value !== 'object' || value === null) return false;
  if (Symbol.asyncIterator in value) return true;
  return Symbol.iterator in value && typeof (value as { next?: unknown }).next === 'function';
}

/**
 * Sends the items as they come, at most as many ahead of the consumer as it granted. A task that waits for its consumer
 * waits as for a ref: its CPUs are lent, perhaps to what the consumer does first. When the caller cancels, the generator's
 * `return` runs, so its `finally` blocks do.
 */
export async function runStream(
  call: IncomingCall,
  stream: Stream,
  core: CoreProcess,
): Promise<void> {
  let credit = call.maxBufferedItems ?? DEFAULT_BUFFERED_ITEMS;
  let wake: (() => void) | undefined;
  call.onCredit = (items) => {
    credit += items;
    wake?.();
  };
  call.startStream();
  for await (const item of stream) {
    if (call.cancelled) break;
    const sent = call.sendItem(item, core);
    if (sent !== undefined) await sent;
    credit -= 1;
    while (credit <= 0 && !call.cancelled) {
      const wait = core.waits.begin();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      core.waits.end(wait);
    }
  }
  if (call.cancelled) throw new TaskCancelledError('The caller left the stream.');
}
