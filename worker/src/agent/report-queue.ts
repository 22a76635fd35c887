import { LIMITS } from '@manta/runtime/wire/limits';
import { messageBytes } from '@manta/runtime/wire/message-size';
import type { NodeEvent } from '@manta/runtime/wire/messages';
import { shortened } from '@manta/runtime/wire/shortened';

const EVENTS_PER_REPORT = 1_000;
/** Leaves room for the envelope below the limit of a control message. */
const BYTES_PER_REPORT = 4 * 1024 * 1024;

/**
 * What the head has not yet acknowledged, in order. Numbers grow by one per event within a session of the agent, so
 * the head can skip what it has seen.
 */
export class ReportQueue {
  private firstSequence = 1;
  private events: NodeEvent[] = [];

  get size(): number {
    return this.events.length;
  }

  push(event: NodeEvent): void {
    this.events.push(withinLimits(event));
  }

  /** The oldest events, as many as one message may hold; undefined when there are none. */
  head(): { firstSequence: number; events: NodeEvent[] } | undefined {
    if (this.events.length === 0) return undefined;
    let bytes = 0;
    let count = 0;
    while (count < this.events.length && count < EVENTS_PER_REPORT) {
      bytes += messageBytes(this.events[count]);
      if (bytes > BYTES_PER_REPORT && count > 0) break;
      count += 1;
    }
    return { firstSequence: this.firstSequence, events: this.events.slice(0, count) };
  }

  /** The head has everything below `nextSequence`. */
  acknowledge(nextSequence: number): void {
    const count = Math.min(Math.max(0, nextSequence - this.firstSequence), this.events.length);
    this.events.splice(0, count);
    this.firstSequence += count;
  }
}

/** What the head refuses would be sent for ever, and everything after it wait. */
function withinLimits(event: NodeEvent): NodeEvent {
  if (!('cause' in event)) return event;
  const cause = { ...event.cause, message: shortened(event.cause.message) };
  if (event.type !== 'actor-ended') return { ...event, cause };
  const { encodedError, ...rest } = event;
  // The cause still says what happened.
  if ((encodedError?.byteLength ?? 0) > LIMITS.encodedErrorBytes) return { ...rest, cause };
  return { ...event, cause };
}
