import type { DeathCause } from '@manta/runtime/errors/death-cause';

export function causeOf(kind: DeathCause['kind'], message: string, nodeId?: string): DeathCause {
  return nodeId === undefined ? { kind, message } : { kind, message, nodeId };
}
