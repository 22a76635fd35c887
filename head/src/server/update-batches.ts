import { messageBytes } from '@manta/runtime/wire/message-size';
import type { ActorUpdate } from '@manta/runtime/wire/messages';

/** Updates to one process in one message. */
const BATCH_BYTES_MAX = 1024 * 1024;

/** In their order; an update that is larger than a batch may be goes alone. */
export function* updateBatches(updates: Iterable<ActorUpdate>): Generator<ActorUpdate[]> {
  let batch: ActorUpdate[] = [];
  let bytes = 0;
  for (const update of updates) {
    const updateBytes = messageBytes(update);
    if (batch.length > 0 && bytes + updateBytes > BATCH_BYTES_MAX) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(update);
    bytes += updateBytes;
  }
  if (batch.length > 0) yield batch;
}
