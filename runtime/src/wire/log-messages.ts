import * as v from 'valibot';
import { count, id, name } from './schema-parts.ts';

/** The end of a log file of this node. Without `actorId` or `file`: the list of files. */
export const NodeLogs = v.object({
  actorId: v.optional(v.string()),
  file: v.optional(name),
  tailLines: v.optional(count),
  /** Byte offset to go on from. */
  offset: v.optional(count),
});
/** What the job's actors and tasks have printed here is sent to its driver before this is answered. */
export const NodeJobLogs = v.object({ jobId: id('job') });
export const NodeLogsReply = v.object({
  files: v.array(v.object({ file: v.string(), bytes: count })),
  text: v.optional(v.string()),
  nextOffset: v.optional(count),
});
