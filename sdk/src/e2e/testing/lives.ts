import type { ActorOptions } from '@manta/sdk';
import { LifeActor } from '../fixtures/lives.ts';
import type { Journal, Journals } from './journal.ts';

/** An actor, and the file into which it writes what it really does. */
export interface JournaledLife {
  journal: Journal;
  actor: ReturnType<(typeof LifeActor)['create']>;
}

/** Gives what makes actors that each have a journal of their own. */
export function livesWith(journals: Journals): (options?: ActorOptions) => JournaledLife {
  return (options = {}) => {
    const journal = journals.create();
    return { journal, actor: LifeActor.options(options).create(journal.file) };
  };
}
