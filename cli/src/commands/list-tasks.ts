import type { Command } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { parseId } from '@manta/runtime/ids';
import { tasksOf } from '@manta/runtime/state/cluster-tasks';
import { LIMITS } from '@manta/runtime/wire/limits';
import { TASK_STATES, TASK_TYPES, type TaskFilter } from '@manta/runtime/wire/task-messages';
import { parseInteger } from '../amounts.ts';
import { resolveConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { withClient } from '../control-client.ts';
import { show, withConnectionOptions, withExamples, type CommonOptions } from '../options.ts';
import { oneOf } from './object-query.ts';
import { gaps } from './object-tables.ts';
import { taskRowTable, taskTable, taskWorkerTable } from './task-tables.ts';

interface TaskOptions extends CommonOptions {
  job?: string;
  detail?: boolean;
  state?: string;
  type?: string;
  name?: string;
  node?: string;
  actor?: string;
  limit: string;
}

const LIMIT_DEFAULT = '100';
const OPTION_OF: Record<string, string> = { nodeId: 'node', actorId: 'actor' };

export function addListTasks(list: Command, context: Context): void {
  const tasks = list
    .command('tasks')
    .description('how far the tasks of each job are, and the processes that run them');
  withConnectionOptions(tasks)
    .option('--job <id>', 'only those of this job')
    .option('--detail', 'each task and each call of an actor, also the latest tasks that are over')
    .option('--state <state>', `with --detail: ${TASK_STATES.join(', ')}`)
    .option('--type <type>', `with --detail: ${TASK_TYPES.join(' or ')}`)
    .option('--name <name>', 'with --detail: of the function, or Class.method')
    .option('--node <id>', 'with --detail: only those that run, or have run, on this node')
    .option('--actor <id>', 'with --detail: only the calls of this actor')
    .option('--limit <rows>', `with --detail: at most ${LIMITS.objectRows}`, LIMIT_DEFAULT);
  withExamples(tasks, [
    'manta list tasks',
    'manta list tasks --job j_… --json',
    'manta list tasks --detail --state failed',
  ]).action((options: TaskOptions) =>
    options.detail === true ? listEach(context, options) : listProgress(context, options),
  );
}

async function listProgress(context: Context, options: TaskOptions): Promise<void> {
  const { jobId, ...only } = readFilter(options);
  const [name] = Object.keys(only);
  if (name !== undefined)
    throw new InvalidArgumentError(`--${OPTION_OF[name] ?? name} needs --detail`);
  const connection = await resolveConnection(context, options);
  const state = await withClient(connection, (client) => client.tasks(jobId));
  show(context, options, state, () => {
    const parts = [state.tasks.length === 0 ? 'no tasks' : taskTable(state.tasks)];
    const { alive, waiting } = state.workerCounts;
    const workers = state.workers.filter((worker) => worker.state !== 'pending');
    if (workers.length > 0) parts.push(taskWorkerTable(workers));
    if (alive > workers.length) parts.push(`and ${alive - workers.length} task workers more`);
    if (waiting > 0)
      parts.push(
        `${waiting} more task workers are asked for: "manta status" says what they wait for`,
      );
    return parts.join('\n\n');
  });
}

async function listEach(context: Context, options: TaskOptions): Promise<void> {
  const limit = parseInteger('--limit', options.limit, LIMITS.objectRows);
  const filter = readFilter(options);
  const connection = await resolveConnection(context, options);
  const found = await withClient(connection, async (client) =>
    tasksOf(await client.asked(), { limit, filter }),
  );
  const { tasks, isCut, nodes, processes } = found;
  show(context, options, tasks, () =>
    [
      tasks.length === 0 ? 'no tasks' : taskRowTable(tasks),
      ...(isCut ? ['and more: see --limit, or "manta list tasks" for their numbers'] : []),
      ...gaps({ nodes, processes, leftOut: 0 }),
    ].join('\n'),
  );
}

function readFilter({ job, state, type, name, node, actor }: TaskOptions): TaskFilter {
  const jobId = parseId('job', job);
  if (job !== undefined && jobId === undefined)
    throw new InvalidArgumentError(`--job: "${job}" is no id of a job: see "manta status"`);
  const actorId = parseId('actor', actor);
  if (actor !== undefined && actorId === undefined)
    throw new InvalidArgumentError(`--actor: "${actor}" is no id of an actor (a_…)`);
  const wantedState = oneOf('--state', state, TASK_STATES);
  const wantedType = oneOf('--type', type, TASK_TYPES);
  return {
    ...(jobId && { jobId }),
    ...(wantedState && { state: wantedState }),
    ...(wantedType && { type: wantedType }),
    ...(name !== undefined && { name }),
    ...(node !== undefined && { nodeId: node }),
    ...(actorId && { actorId }),
  };
}
