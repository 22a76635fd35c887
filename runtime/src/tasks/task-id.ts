import type { ProcessId } from '../ids.ts';

/** The id of a task: who submitted it, and its number there. Known at both ends without being sent. */
export function taskIdOf(submitter: ProcessId, number: number): string {
  return `t_${submitter.slice(2)}_${number.toString(36)}`;
}
