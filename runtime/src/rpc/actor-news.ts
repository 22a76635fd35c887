import type { ActorId } from '../ids.ts';
import type { ActorUpdate, ProcessAddress } from '../wire/messages.ts';

/** What an update changes. */
export interface News {
  /** The life that was known before is over. */
  isNewLife: boolean;
  /** A life that this process has spoken to, and of whose beginning the head may never have heard. */
  lived: number | undefined;
}

/**
 * What this process has heard of an actor: from the head, and of the beginning of a life from its process, which is
 * quicker to say so (docs/decisions/2026-11-30-word-of-the-process.md).
 */
export class ActorNews {
  #last: ActorUpdate | undefined;
  /** The life that has begun by the word of its process alone. */
  #begun: number | undefined;
  /** A life has ended by the word of its process alone. */
  #hasEnded = false;

  get last(): ActorUpdate | undefined {
    return this.#last;
  }

  /** The head has not said yet what the process has said: that this life has begun, or has ended. */
  get isAhead(): boolean {
    return this.#begun !== undefined || this.#hasEnded;
  }

  /** The word of the head; undefined: it is old. */
  take(update: ActorUpdate): News | undefined {
    const last = this.#last;
    if (last !== undefined && update.revision < last.revision) return undefined;
    const isBeginning = update.state === 'pending' || update.state === 'restarting';
    if (isBeginning && update.incarnation === this.#begun) return undefined;
    const isNewLife = last !== undefined && update.incarnation > last.incarnation;
    const lived = isNewLife ? this.#begun : undefined;
    this.#last = update;
    this.#begun = undefined;
    if (update.state !== 'alive' || isNewLife) this.#hasEnded = false;
    return { isNewLife, lived };
  }

  /** The process says that this life is over. */
  end(): void {
    this.#hasEnded = true;
  }

  /** The word of the process, in the head's words; undefined: the head has said as much, or more. */
  begin(actorId: ActorId, incarnation: number, address: ProcessAddress): ActorUpdate | undefined {
    const { state = 'pending', revision = 0, incarnation: known = 0 } = this.#last ?? {};
    if (state === 'alive' || state === 'dead' || known > incarnation) return undefined;
    this.#begun = incarnation;
    this.#last = { actorId, revision, state: 'alive', incarnation, address };
    return this.#last;
  }
}
