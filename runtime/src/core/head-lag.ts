import type { ActorCaller } from '../rpc/actor-caller.ts';
import { confirmed } from '../rpc/caller-questions.ts';
import type { Clock } from '../time/clock.ts';
import { within } from '../time/within.ts';

/** An actor answers before the head hears that it has begun, or is over: rarely by more than some milliseconds. */
const HEAD_LAG_MAX_MS = 1_000;

interface LagCore {
  readonly clock: Clock;
  readonly actors: { callers(): ActorCaller[] };
  callStarted(): void;
  callFinished(): void;
}

/**
 * Resolves when the head has heard of the beginning and end of every life that this process may have spoken to, and after a
 * second in any case.
 */
export async function headCaughtUp(core: LagCore): Promise<void> {
  const ahead = core.actors.callers().filter(({ news }) => news.isAhead);
  if (ahead.length === 0) return;
  core.callStarted();
  try {
    await within(core.clock, HEAD_LAG_MAX_MS, Promise.all(ahead.map(confirmed)));
  } finally {
    core.callFinished();
  }
}
