import type { Failure } from '../failure.ts';

export function openAiFailure({ message, type, param, code }: Failure): unknown {
  return { error: { message, type, param, code } };
}
