import * as v from 'valibot';
import { InvalidArgumentError } from '../errors/errors.ts';
import { TaskFilter, type TaskRow } from '../wire/task-messages.ts';
import { askNodes, type AskedCluster } from './ask-nodes.ts';
import { mergeAnswers, type ClusterObjects } from './cluster-objects.ts';
import { rankOf } from './task-rows.ts';

/** A task of the cluster: one that is not over, or one of the latest that are. */
export interface ClusterTask extends TaskRow {
  /** The process that has submitted it. */
  submitterId: string;
}

export interface ClusterTasks extends Pick<ClusterObjects, 'nodes' | 'processes'> {
  /** In the order of `TASK_STATES`. */
  tasks: ClusterTask[];
  /** There was no room for all that match. */
  isCut: boolean;
}

const StrictFilter = v.strictObject(TaskFilter.entries);

/**
 * The tasks and calls of actors that are known to any process, at most so many.
 * @throws InvalidArgumentError that names what is wrong in the filter.
 */
export async function tasksOf(
  cluster: AskedCluster,
  { limit, filter }: { limit: number; filter: TaskFilter },
): Promise<ClusterTasks> {
  const { issues: [issue] = [] } = v.safeParse(StrictFilter, filter);
  if (issue !== undefined)
    throw new InvalidArgumentError(`A filter of tasks: ${v.getDotPath(issue)}: ${issue.message}.`);
  // One more than is shown tells that there are more.
  const answers = await askNodes(cluster, { tasks: filter, limit: limit + 1 });
  const { nodes, processes } = mergeAnswers(answers);
  const found = new Map<string, ClusterTask[]>();
  // A driver that is linked to two nodes answers both.
  for (const { reply } of answers)
    for (const { processId, report } of reply?.processes ?? [])
      if (report?.tasks !== undefined)
        found.set(
          processId,
          report.tasks.map((row) => ({ ...row, submitterId: processId })),
        );
  const tasks = [...found.values()].flat().sort((a, b) => rankOf(a) - rankOf(b));
  return { tasks: tasks.slice(0, limit), isCut: tasks.length > limit, nodes, processes };
}
