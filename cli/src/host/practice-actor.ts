import { defineActor, defineTask } from '@manta/sdk';

/**
 * Loaded by every host process while it waits for its first actor, which it practises with (worker/src/host/warm-up.ts):
 * a module like those that users write, so that the SDK, and what the engine and its module loader set up on first
 * use, are there when a real one comes.
 */
class Practice {
  echo(value: unknown): unknown {
    return value;
  }

  bytes(_value: unknown): Uint8Array {
    return Buffer.from('pong');
  }
}

export const PracticeActor = defineActor(import.meta, Practice);
export const practise = defineTask(import.meta, function practise() {});
