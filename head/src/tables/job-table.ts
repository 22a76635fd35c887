import type { JobId, ProcessId } from '@manta/runtime/ids';

export interface JobRecord {
  readonly jobId: JobId;
  readonly processId: ProcessId;
  readonly entrypoint: string;
  readonly pid: number;
  readonly hostname: string;
  readonly namespace: string;
  readonly startedAt: number;
  state: 'running' | 'succeeded' | 'failed';
  endedAt?: number | undefined;
}

export type JobEvent = { type: 'ended' } | { type: 'driver-lost' };

/**
 * (1) start → running ──(2) the driver says it is done──► succeeded
 *                      └─(3) the driver is gone without a word──► failed
 *
 * Returns whether anything changed.
 */
export function stepJob(record: JobRecord, event: JobEvent, now: number): boolean {
  if (record.state !== 'running') return false;
  record.state = event.type === 'ended' ? 'succeeded' : 'failed';
  record.endedAt = now;
  return true;
}

export class JobTable {
  readonly #jobs = new Map<JobId, JobRecord>();

  get(jobId: JobId): JobRecord | undefined {
    return this.#jobs.get(jobId);
  }
  all(): IterableIterator<JobRecord> {
    return this.#jobs.values();
  }

  /** Returns the oldest ended jobs when there are more than `endedJobsMax` in all: they are forgotten. */
  add(record: JobRecord, jobsMax: number): JobId[] {
    this.#jobs.set(record.jobId, record);
    const forgotten: JobId[] = [];
    for (const job of this.#jobs.values()) {
      if (this.#jobs.size - forgotten.length <= jobsMax) break;
      if (job.state !== 'running') forgotten.push(job.jobId);
    }
    for (const jobId of forgotten) this.#jobs.delete(jobId);
    return forgotten;
  }
}
