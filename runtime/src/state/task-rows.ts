import type { ObjectId, ProcessId } from '../ids.ts';
import type { ActorCall } from '../rpc/actor-call.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { unfinishedCallsOf } from '../rpc/caller-questions.ts';
import type { EndedTask, EndedTasks } from '../tasks/ended-tasks.ts';
import { TASK_PHASE, type TaskCall } from '../tasks/task-call.ts';
import { taskIdOf } from '../tasks/task-id.ts';
import {
  TASK_STATES,
  type TaskFilter,
  type TaskRow,
  type TaskState,
} from '../wire/task-messages.ts';

/** What a list of tasks asks of a process (core/core-process.ts). */
export interface ListedCore {
  readonly processId: ProcessId;
  readonly actors: { callers(): readonly ActorCaller[] };
  readonly tasks: {
    unfinished(limit: number): TaskCall[];
    /** One for each worker that has tasks: the one that runs. */
    running(): TaskCall[];
    readonly ended: Pick<EndedTasks, 'failed' | 'finished'>;
  };
}

/** Unfinished calls that one list looks at. */
const CALLS_SEEN_MAX = 100_000;

/** A row, and what it costs something to find out. */
interface Draft {
  row: Pick<TaskRow, 'type' | 'name' | 'state' | 'jobId' | 'actorId' | 'nodeId'>;
  rest: () => Omit<TaskRow, keyof Draft['row']>;
}

/** The tasks that a process has submitted and its calls of actors, in the order of `TASK_STATES`. */
export function taskRowsOf(core: ListedCore, filter: TaskFilter, limit: number): TaskRow[] {
  const rows: TaskRow[] = [];
  for (const { row, rest } of drafts(core)) {
    if (rows.length >= limit) break;
    if (matches(row, filter)) rows.push({ ...row, ...rest() });
  }
  return rows;
}

export const rankOf = ({ state }: Pick<TaskRow, 'state'>): number => TASK_STATES.indexOf(state);

function matches(row: Draft['row'], filter: TaskFilter): boolean {
  return (Object.keys(filter) as (keyof TaskFilter)[]).every(
    (key) => filter[key] === undefined || filter[key] === row[key],
  );
}

function* drafts(core: ListedCore): Generator<Draft> {
  const running = new Set(core.tasks.running());
  const tasksSeen = core.tasks.unfinished(CALLS_SEEN_MAX);
  const tasks = tasksSeen.map((call) => draftOfTask(core, call, running));
  const seen = new Set(tasksSeen.map(({ number }) => number));
  const calls = core.actors.callers().flatMap(unfinishedCallsOf).map(draftOfCall);
  const unfinished = byState([...tasks, ...calls]);
  for (const state of TASK_STATES) {
    yield* unfinished.get(state) ?? [];
    if (state === 'failed') yield* ended(core, core.tasks.ended.failed(), { state, seen });
    if (state === 'finished') yield* ended(core, core.tasks.ended.finished(), { state, seen });
  }
}

function byState(found: readonly Draft[]): Map<TaskState, Draft[]> {
  const groups = new Map<TaskState, Draft[]>();
  for (const draft of found) {
    const group = groups.get(draft.row.state);
    if (group === undefined) groups.set(draft.row.state, [draft]);
    else group.push(draft);
  }
  return groups;
}

function draftOfTask(core: ListedCore, call: TaskCall, running: ReadonlySet<TaskCall>): Draft {
  const { task, number, retriesLeft, lease } = call;
  return {
    row: {
      type: 'task',
      ...task.label,
      state: running.has(call) ? 'running' : stateOfTask(call),
      ...(lease?.nodeId === undefined ? {} : { nodeId: lease.nodeId }),
    },
    rest: () => ({
      taskId: taskIdOf(core.processId, number),
      objectId: call.id as ObjectId,
      retriesLeft,
    }),
  };
}

function stateOfTask({ phase }: TaskCall): TaskState {
  if (phase === TASK_PHASE.waiting) return 'pending-args';
  return phase === TASK_PHASE.queued ? 'pending-node-assignment' : 'submitted-to-worker';
}

function draftOfCall(call: ActorCall): Draft {
  const { caller, method, retriesLeft } = call;
  const nodeId = caller.news.last?.address?.nodeId;
  return {
    row: {
      type: 'actor-call',
      name: `${caller.className}.${method.name}`,
      state: stateOfCall(call),
      actorId: caller.actorId,
      ...(nodeId === undefined ? {} : { nodeId }),
    },
    rest: () => ({ objectId: call.id as ObjectId, retriesLeft }),
  };
}

function stateOfCall({ phase }: ActorCall): TaskState {
  if (phase === 'waiting-for-dependencies') return 'pending-args';
  return phase === 'queued' ? 'pending-node-assignment' : 'submitted-to-worker';
}

function* ended(
  core: ListedCore,
  tasks: Iterable<EndedTask>,
  { state, seen }: { state: 'finished' | 'failed'; seen: Set<number> },
): Generator<Draft> {
  for (const { number, label, nodeId, error } of tasks) {
    // Made again, it runs under its number once more: what came last counts.
    if (seen.has(number)) continue;
    seen.add(number);
    yield {
      row: {
        type: 'task',
        ...label,
        state,
        ...(nodeId === undefined ? {} : { nodeId }),
      },
      rest: () => ({
        taskId: taskIdOf(core.processId, number),
        ...(error && { errorType: error.name, errorMessage: error.message }),
      }),
    };
  }
}
