import * as v from 'valibot';
import { LIMITS } from './limits.ts';
import { ProcessAddress } from './messages.ts';
import { count, id, name } from './schema-parts.ts';

/** What drivers, and whoever submits tasks, tell the head of their jobs. */
export const JobStart = v.object({
  jobId: id('job'),
  processId: id('process'),
  pid: count,
  hostname: v.string(),
  entrypoint: v.string(),
  namespace: name,
});
export type JobStart = v.InferOutput<typeof JobStart>;
/** The nearest node on the caller's machine, else any: the driver links to its agent. */
export const JobStartReply = v.object({
  clusterId: id('cluster'),
  epoch: v.string(),
  home: v.optional(v.object({ nodeId: id('node'), address: ProcessAddress })),
  dashboardUrl: v.optional(v.string()),
});
export const JobEnd = v.object({ jobId: id('job'), processId: id('process') });

/** Tasks of one name. `queued` and `running` as they are now, the others since the process started. */
export const TaskCounts = v.object({
  name,
  queued: count,
  running: count,
  finished: count,
  failed: count,
});
export type TaskCounts = v.InferOutput<typeof TaskCounts>;
/**
 * What a process that submits tasks has under way, by name: absolute numbers, so that a repeat changes nothing. Sent
 * at most once a second while something changes, once more when nothing does any more, and again (whole) when a head
 * has started. Names beyond the limit go together under the name '…'.
 */
export const JobProgress = v.object({
  jobId: id('job'),
  processId: id('process'),
  tasks: v.pipe(v.array(TaskCounts), v.maxLength(LIMITS.taskNames)),
});
export type JobProgress = v.InferOutput<typeof JobProgress>;

/** Lines that actors of a job wrote, for the driver's terminal. */
export const JobLogs = v.object({
  nodeId: id('node'),
  entries: v.array(
    v.object({
      pid: count,
      label: v.string(),
      stream: v.picklist(['stdout', 'stderr']),
      lines: v.array(v.string()),
    }),
  ),
});
