import type { ActorId } from '../ids.ts';

interface Life {
  actorId: ActorId;
  incarnation: number;
}

/** Lives that this process has spoken to and that the head may take for such that never were, until it has been told. */
export class UntoldLives {
  readonly #lives = new Map<ActorId, number>();

  add(actorId: ActorId, incarnation: number): void {
    this.#lives.set(actorId, incarnation);
  }

  of(actorIds: readonly ActorId[]): Life[] {
    return actorIds.flatMap((actorId) => {
      const incarnation = this.#lives.get(actorId);
      return incarnation === undefined ? [] : [{ actorId, incarnation }];
    });
  }

  told(lives: readonly Life[]): void {
    for (const { actorId, incarnation } of lives)
      if (this.#lives.get(actorId) === incarnation) this.#lives.delete(actorId);
  }
}
