import { TASK_PHASE, type TaskCall } from './task-call.ts';
import type { TaskShape } from './task-shape.ts';

/** At most so many; those at workers first. No spreading: there may be a million of them. */
export function unfinishedTasks(
  shapes: readonly TaskShape[],
  waiting: Iterable<TaskCall>,
  limit: number,
): TaskCall[] {
  const groups = [
    ...shapes.flatMap(({ leases }) => leases.map((lease) => lease.pending())),
    ...shapes.map(({ queue }) => queue.waiting()),
    waiting,
  ];
  const calls: TaskCall[] = [];
  for (const group of groups) {
    for (const call of group) {
      if (calls.length >= limit) return calls;
      if (call.phase !== TASK_PHASE.done) calls.push(call);
    }
  }
  return calls;
}
