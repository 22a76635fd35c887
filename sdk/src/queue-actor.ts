import { runtimeContext } from './actors.ts';
import { defineActor } from './define-actor.ts';
import { FairQueue, type GiveUp } from './fair-queue.ts';

/**
 * The actor behind a Queue. It keeps the time of those who wait: only here is it known whether an item was taken before
 * the time was over.
 */
export class QueueActor {
  readonly #queue: FairQueue<unknown>;

  constructor(maxSize: number) {
    this.#queue = new FairQueue(maxSize);
  }

  /** False: there was no room within `timeoutMs`, and the item is not in. */
  put(item: unknown, timeoutMs?: number): Promise<boolean> {
    return answerWithin(timeoutMs, false, (answer) => this.#queue.put(item, () => answer(true)));
  }

  /** The item in a list; an empty list: there was none within `timeoutMs`. */
  get(timeoutMs?: number): Promise<unknown[]> {
    return answerWithin<unknown[]>(timeoutMs, [], (answer) =>
      this.#queue.get((item) => answer([item])),
    );
  }

  size(): number {
    return this.#queue.size;
  }
}

/** The `late` answer when there is none in time, or when the caller gives up or is gone. */
function answerWithin<R>(
  timeoutMs: number | undefined,
  late: R,
  enter: (answer: (result: R) => void) => GiveUp,
): Promise<R> {
  const { signal } = runtimeContext();
  if (signal.aborted) return Promise.resolve(late);
  return new Promise((resolve) => {
    let isAnswered = false;
    let timer: NodeJS.Timeout | undefined;
    const giveUp = enter((result) => {
      isAnswered = true;
      clearTimeout(timer);
      resolve(result);
    });
    const end = (): void => {
      clearTimeout(timer);
      giveUp();
      resolve(late);
    };
    // It aborts until the answer has left: an item that its caller cannot take any more goes back.
    signal.addEventListener('abort', end, { once: true });
    if (timeoutMs !== undefined && !isAnswered) timer = setTimeout(end, timeoutMs);
  });
}

/** Calls that wait must not keep others out: those that would make room, or bring an item. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Every host has the SDK: its class needs no place from which to load it. */
const MODULE = { url: 'manta:queue' } as ImportMeta;

export const QueueActorClass = defineActor(MODULE, QueueActor, { maxConcurrency: UNLIMITED });
