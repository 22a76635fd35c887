import type { JobId, ProcessId } from '@manta/runtime/ids';
import { LIMITS } from '@manta/runtime/wire/limits';
import type { TaskCounts } from '@manta/runtime/wire/job-messages';

interface JobTasks {
  /** The last word of each living process that submits tasks. */
  readonly reported: Map<ProcessId, readonly TaskCounts[]>;
  /** What processes that have ended had done, by name. */
  readonly past: Map<string, TaskCounts>;
}

/** Names beyond the limit are counted together. */
const OTHER_NAMES = '…';

/** How far the tasks of each job are, as those who submit them say. Kept in memory: a new head is told anew. */
export class TaskProgress {
  readonly #jobs = new Map<JobId, JobTasks>();

  report(jobId: JobId, processId: ProcessId, tasks: readonly TaskCounts[]): void {
    let job = this.#jobs.get(jobId);
    if (job === undefined) {
      job = { reported: new Map(), past: new Map() };
      this.#jobs.set(jobId, job);
    }
    job.reported.set(processId, tasks);
  }

  /** What it had queued or running is over; what it had done stays counted. */
  processEnded(processId: ProcessId): void {
    for (const job of this.#jobs.values()) {
      const tasks = job.reported.get(processId);
      if (tasks === undefined) continue;
      job.reported.delete(processId);
      for (const counts of tasks) addTo(job.past, { ...counts, queued: 0, running: 0 });
    }
  }

  forgetJob(jobId: JobId): void {
    this.#jobs.delete(jobId);
  }

  /** By name, in order. */
  tasksOf(jobId: JobId): TaskCounts[] {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return [];
    const sums = new Map<string, TaskCounts>();
    for (const counts of job.past.values()) addTo(sums, counts);
    for (const tasks of job.reported.values()) for (const counts of tasks) addTo(sums, counts);
    return [...sums.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** All tasks of a job together; undefined when none was ever reported. */
  totalOf(jobId: JobId): Omit<TaskCounts, 'name'> | undefined {
    if (!this.#jobs.has(jobId)) return undefined;
    const total = { queued: 0, running: 0, finished: 0, failed: 0 };
    for (const { queued, running, finished, failed } of this.tasksOf(jobId)) {
      total.queued += queued;
      total.running += running;
      total.finished += finished;
      total.failed += failed;
    }
    return total;
  }
}

function addTo(sums: Map<string, TaskCounts>, counts: TaskCounts): void {
  const isNew = !sums.has(counts.name);
  const name = isNew && sums.size >= LIMITS.taskNames ? OTHER_NAMES : counts.name;
  const sum = sums.get(name) ?? { name, queued: 0, running: 0, finished: 0, failed: 0 };
  sums.set(name, {
    name,
    queued: sum.queued + counts.queued,
    running: sum.running + counts.running,
    finished: sum.finished + counts.finished,
    failed: sum.failed + counts.failed,
  });
}
