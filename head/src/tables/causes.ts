import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { shortened } from '@manta/runtime/wire/shortened';

/** Of what a user ends for good. */
export const KILLED: DeathCause = { kind: 'killed', message: 'kill() was called.' };

export function causeOf(kind: DeathCause['kind'], text: string, nodeId?: string): DeathCause {
  const message = shortened(text);
  return nodeId === undefined ? { kind, message } : { kind, message, nodeId };
}
