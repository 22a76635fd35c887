import { isObjectRef, REF_STATE } from '../objects/object-ref.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import { describeRef, inspectCall, type CallExplanation } from '../rpc/call-explanation.ts';
import { TASK_PHASE, TASK_PHASE_NAMES, type TaskCall } from './task-call.ts';

/** Why a task has not ended; `lease`: a request for a worker that waits, of which the head knows more. */
export interface TaskExplanation extends CallExplanation {
  lease: ActorCaller | undefined;
}

/** What is known of a task that is not answered; asks its worker when it has one. */
export async function explainTask(call: TaskCall): Promise<TaskExplanation> {
  const { task } = call;
  const state = TASK_PHASE_NAMES[call.phase] as string;
  const { clock } = task.submitter.core;
  const answer = (reason: string, lease?: ActorCaller): TaskExplanation => ({
    state,
    since: lease?.madeAt ?? call.lease?.caller.madeAt ?? clock.now(),
    reason: `Task ${task.name} ${reason}`,
    lease,
  });
  if (call.phase === TASK_PHASE.waiting) {
    const pending = (call.values ?? [])
      .filter(isObjectRef)
      .filter((ref) => ref.state === REF_STATE.pending);
    return answer(`waits for its arguments: ${pending.map(describeRef).join(', ')}.`);
  }
  if (call.phase === TASK_PHASE.lost)
    return answer('lost its worker; the head is asked what became of it.');
  if (call.phase === TASK_PHASE.sent) return explainSent(call, answer);
  const { leases } = task.shape;
  const requested = leases.find(({ state: leaseState }) => leaseState === 'requested');
  const busy = leases.filter(({ state: leaseState }) => leaseState === 'open').length;
  return answer(
    `waits in this process for a worker: ${busy} work for tasks like it, ` +
      `${leases.length - busy} more are asked for.`,
    requested?.caller,
  );
}

async function explainSent(
  call: TaskCall,
  answer: (reason: string) => TaskExplanation,
): Promise<TaskExplanation> {
  const connection = call.lease?.connection;
  const address = call.lease?.caller.news.last?.address;
  const where = `worker process ${address?.processId} on node ${address?.nodeId}`;
  if (connection === undefined) return answer(`is at ${where}.`);
  const inspection = await inspectCall(connection, call.number);
  const since = call.task.submitter.core.clock.now() - (inspection?.ageMs ?? 0);
  switch (inspection?.state) {
    case 'running':
      return { ...answer(`runs in ${where}.`), state: 'running', since };
    case 'queued': {
      const reason = `is at ${where}, behind the task that runs there.`;
      return { ...answer(reason), state: 'queued', since };
    }
    case undefined:
      return { ...answer(`is at ${where}, which is busy.`), state: 'running' };
    default:
      return answer(`has just been answered by ${where}, or comes back from it.`);
  }
}
