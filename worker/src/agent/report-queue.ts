import type { NodeEvent } from '@manta/runtime/wire/messages';

const EVENTS_PER_REPORT = 1_000;
/** Leaves room for the envelope below the limit of a control message. */
const BYTES_PER_REPORT = 4 * 1024 * 1024;
/** A thrown error larger than this is left out; the cause still says what happened. */
export const ENCODED_ERROR_BYTES_MAX = 1024 * 1024;
/** Roughly what an event takes besides its error. */
const EVENT_BYTES = 512;

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
    this.events.push(withoutHugeError(event));
  }

  /** The oldest events, as many as one message may hold; undefined when there are none. */
  head(): { firstSequence: number; events: NodeEvent[] } | undefined {
    if (this.events.length === 0) return undefined;
    let bytes = 0;
    let count = 0;
    while (count < this.events.length && count < EVENTS_PER_REPORT) {
      bytes += sizeOf(this.events[count] as NodeEvent);
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

function sizeOf(event: NodeEvent): number {
  const errorBytes = event.type === 'actor-ended' ? (event.encodedError?.byteLength ?? 0) : 0;
  return EVENT_BYTES + errorBytes;
}

function withoutHugeError(event: NodeEvent): NodeEvent {
  if (sizeOf(event) <= ENCODED_ERROR_BYTES_MAX || event.type !== 'actor-ended') return event;
  const { encodedError: _tooLarge, ...rest } = event;
  return rest;
}
