import type { JobId } from '../ids.ts';
import type { Clock } from '../time/clock.ts';
import type { TaskCounts } from '../wire/job-messages.ts';
import type { TaskCall } from './task-call.ts';
import type { TaskTally } from './task-catalogue.ts';

const INTERVAL_MS = 1_000;

/** What a report is made of: what was counted, and which tasks run now. */
export interface ProgressSource {
  tallies(): Iterable<TaskTally>;
  running(): TaskCall[];
}

/** The tasks of one process, by job and name. */
export function progressByJob(source: ProgressSource): Map<JobId, TaskCounts[]> {
  const running = new Map<TaskTally, number>();
  for (const { task } of source.running())
    running.set(task.tally, (running.get(task.tally) ?? 0) + 1);
  const jobs = new Map<JobId, TaskCounts[]>();
  for (const tally of source.tallies()) {
    const { jobId, name, submitted, finished, failed } = tally;
    const unfinished = submitted - finished - failed;
    const runs = Math.min(running.get(tally) ?? 0, unfinished);
    const counts = { name, queued: unfinished - runs, running: runs, finished, failed };
    const known = jobs.get(jobId);
    if (known === undefined) jobs.set(jobId, [counts]);
    else known.push(counts);
  }
  return jobs;
}

/**
 * Tells the head what this process has under way: at most once a second while something changes, once more when nothing
 * does any more, and again when a head has started.
 */
export class TaskProgress {
  readonly #source: ProgressSource;
  readonly #clock: Clock;
  readonly #report: (jobId: JobId, tasks: TaskCounts[]) => void;
  #hasChanged = false;
  #stop: (() => void) | undefined;

  constructor(
    source: ProgressSource,
    clock: Clock,
    report: (jobId: JobId, tasks: TaskCounts[]) => void,
  ) {
    this.#source = source;
    this.#clock = clock;
    this.#report = report;
  }

  changed(): void {
    this.#hasChanged = true;
    this.#stop ??= this.#clock.every(INTERVAL_MS, () => this.#tick(), { unref: true });
  }

  #tick(): void {
    if (!this.#hasChanged) this.close();
    this.#hasChanged = false;
    for (const [jobId, tasks] of progressByJob(this.#source)) this.#report(jobId, tasks);
  }

  close(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}
