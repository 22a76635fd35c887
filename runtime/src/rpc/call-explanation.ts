import { isObjectRef, REF_STATE, type AnyObjectRef } from '../objects/object-ref.ts';
import { TaskCall } from '../tasks/task-call.ts';
import { ActorCall } from './actor-call.ts';
import type { PeerConnection } from './peer-connection.ts';
import { RECORD } from './records.ts';

export interface CallExplanation {
  state: string;
  /** Milliseconds since the epoch. */
  since: number;
  reason: string;
}

export interface CallWhereabouts {
  className: string;
  actorId: string;
  actorState: string;
  nodeId: string | undefined;
  connection: string;
  /** Why it could not be reached last. */
  connectFailure: Error | undefined;
  since: number;
  /** The first call that waits for its arguments: those after it wait with it, to keep their order. */
  blocker: ActorCall | undefined;
}

/** A callee that does not answer so long is busy: its event loop is blocked. */
const INSPECT_TIMEOUT_MS = 1_000;

/** What the callee says of a call. */
export interface Inspection {
  /** 'running', 'queued' or 'unknown'. */
  state: string;
  /** For how long it has had the call. */
  ageMs: number;
}

/** Undefined when the callee does not answer. */
export function inspectCall(
  connection: PeerConnection,
  call: number,
): Promise<Inspection | undefined> {
  return new Promise((resolve) => {
    const settle = (answer: Inspection | undefined): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    const number = connection.expect({
      onResult: (value) => settle(inspectionFrom(value)),
      onFailure: () => settle(undefined),
      onStream: () => settle(undefined),
      onItem: () => settle(undefined),
      onEnd: () => settle(undefined),
      onLost: () => settle(undefined),
    });
    const timer = setTimeout(() => {
      connection.forget(number);
      settle(undefined);
    }, INSPECT_TIMEOUT_MS);
    connection.channel.send([RECORD.inspect, number, call]);
  });
}

/** A text, `running 1500`: an answer that comes too late is no value that somebody must take. */
function inspectionFrom(value: unknown): Inspection {
  const [state = '', ageMs] = String(value).split(' ');
  return { state, ageMs: Number(ageMs ?? 0) };
}

export function explainUnsent(call: ActorCall, where: CallWhereabouts): CallExplanation {
  const what = `${where.className}.${call.method.name}`;
  const { since } = where;
  if (call.phase === 'waiting-for-dependencies') {
    const pending = (call.values ?? [])
      .filter(isObjectRef)
      .filter(({ state }) => state === REF_STATE.pending);
    return {
      state: call.phase,
      since,
      reason: `${what} waits for its arguments: ${pending.map(describeRef).join(', ')}.`,
    };
  }
  if (call.phase === 'lost') {
    return {
      state: call.phase,
      since,
      reason: `The connection broke while ${what} ran; the head is asked what became of actor ${where.actorId}.`,
    };
  }
  if (where.connection === 'open' && where.blocker !== undefined) {
    const reason = `${what} waits in this process behind ${where.className}.${where.blocker.method.name}, which waits for its arguments.`;
    return { state: call.phase, since, reason };
  }
  const why = where.connectFailure === undefined ? '.' : `: ${where.connectFailure.message}`;
  return {
    state: call.phase,
    since,
    reason: `${what} waits in this process: actor ${where.actorId} is ${where.actorState}, its connection ${where.connection}${why}`,
  };
}

/** A ref in words: which call or task makes its value. */
export function describeRef(ref: AnyObjectRef): string {
  if (ref instanceof TaskCall) return `ref ${ref.id} (task ${ref.task.name})`;
  if (!(ref instanceof ActorCall)) return `ref ${ref.id}`;
  return `ref ${ref.id} (${ref.caller.className}.${ref.method.name} of actor ${ref.caller.actorId})`;
}

export function explainSent(
  call: ActorCall,
  where: CallWhereabouts,
  answer: string | undefined,
): CallExplanation {
  const what = `${where.className}.${call.method.name}`;
  const actor = `actor ${where.actorId}${where.nodeId === undefined ? '' : ` on node ${where.nodeId}`}`;
  if (answer === undefined) {
    const reason = `${what} is at ${actor}, whose event loop has not answered for ${INSPECT_TIMEOUT_MS} ms: it is busy.`;
    return { state: 'running', since: where.since, reason };
  }
  if (answer === 'unknown') {
    const reason = `${what} has just been answered by ${actor}, or has not reached it yet.`;
    return { state: call.phase, since: where.since, reason };
  }
  const reason =
    answer === 'running'
      ? `${what} runs in ${actor}.`
      : `${what} is in the mailbox of ${actor}, behind calls that run (maxConcurrency).`;
  return { state: answer, since: where.since, reason };
}
