import { parseId, type ProcessId } from '../ids.ts';

/** The id of a task: who submitted it, and its number there. Known at both ends without being sent. */
export function taskIdOf(submitter: ProcessId, number: number): string {
  return `t_${submitter.slice(2)}_${number.toString(36)}`;
}

const SHAPE = /^t_([0-9a-z]{16})_[0-9a-z]+$/;

/** The process that submitted the task; undefined: the text is no id of a task. */
export function parseTaskId(text: string): ProcessId | undefined {
  return parseId('process', `p_${SHAPE.exec(text)?.[1]}`);
}
