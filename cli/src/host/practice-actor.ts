import { defineActor } from '@manta/sdk';

/**
 * Loaded by every host process while it waits for its first actor: a module like those that users write, so that the
 * SDK, and what the engine and its module loader set up on first use, are there when a real one comes.
 */
class Practice {
  ping(): string {
    return 'pong';
  }
}

export const PracticeActor = defineActor(import.meta, Practice);
