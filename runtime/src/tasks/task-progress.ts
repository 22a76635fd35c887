import type { JobId } from '../ids.ts';
import type { Clock } from '../time/clock.ts';
import type { TaskCounts } from '../wire/job-messages.ts';
import { LIMITS } from '../wire/limits.ts';
import type { TaskFunction } from './task-function.ts';

/** The functions beyond the limit of names go together under this one. */
const OTHERS = '…';
const INTERVAL_MS = 1_000;

/** What a report is made of: the functions that were submitted, and which of them run now. */
export interface ProgressSource {
  functions(): Iterable<TaskFunction>;
  running(): TaskFunction[];
}

/** The tasks of one process, by job and name. */
export function progressByJob(source: ProgressSource): Map<JobId, TaskCounts[]> {
  const running = new Map<TaskFunction, number>();
  for (const task of source.running()) running.set(task, (running.get(task) ?? 0) + 1);
  const jobs = new Map<JobId, Map<string, TaskCounts>>();
  for (const task of source.functions()) {
    const { jobId } = task.shape.template;
    let names = jobs.get(jobId);
    if (names === undefined) jobs.set(jobId, (names = new Map()));
    const isKnown = names.has(task.name) || names.size < LIMITS.taskNames - 1;
    const name = isKnown ? task.name : OTHERS;
    let counts = names.get(name);
    if (counts === undefined)
      names.set(name, (counts = { name, queued: 0, running: 0, finished: 0, failed: 0 }));
    const runs = Math.min(running.get(task) ?? 0, task.submitted - task.finished - task.failed);
    counts.queued += task.submitted - task.finished - task.failed - runs;
    counts.running += runs;
    counts.finished += task.finished;
    counts.failed += task.failed;
  }
  return new Map([...jobs].map(([jobId, names]) => [jobId, [...names.values()]]));
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
