import type { ActorId } from '../ids.ts';
import type { ActorLife } from '../wire/messages.ts';

/** Lives that this process has spoken to and that the head may take for such that never were, until it has been told. */
export class UntoldLives {
  readonly #lives = new Map<ActorId, number>();

  add(actorId: ActorId, incarnation: number): void {
    this.#lives.set(actorId, incarnation);
  }

  of(actorIds: readonly ActorId[]): ActorLife[] {
    return actorIds.flatMap((actorId) => {
      const incarnation = this.#lives.get(actorId);
      return incarnation === undefined ? [] : [{ actorId, incarnation }];
    });
  }

  told(lives: readonly ActorLife[]): void {
    for (const { actorId, incarnation } of lives)
      if (this.#lives.get(actorId) === incarnation) this.#lives.delete(actorId);
  }
}
