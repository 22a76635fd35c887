import type { ActorId, JobId, ProcessId } from '../ids.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import type { CallerActors, CallerCore } from '../rpc/caller-core.ts';
import type { TaskCounts } from '../wire/job-messages.ts';
import type { ActorSpec } from '../wire/messages.ts';

/** What a submitter needs of the process it lives in. */
export interface SubmitterCore extends CallerCore {
  readonly processId: ProcessId;
  readonly actors: CallerActors & {
    readonly leases: Map<ActorId, ActorSpec>;
    create(spec: ActorSpec): ActorCaller;
    submitCreation(spec: ActorSpec, caller: ActorCaller): void;
    drop(caller: ActorCaller): void;
  };
  mintActorId(): ActorId;
  /** Tells the head; a lease that it does not know (any more) is no error. */
  endLease(actorId: ActorId, returned: boolean): Promise<void>;
  reportProgress(jobId: JobId, tasks: TaskCounts[]): void;
  warn(message: string, error: unknown): void;
}
