import type { MantaError } from '../errors/errors.ts';
import { ActorCall } from './actor-call.ts';
import type { ActorCaller } from './actor-caller.ts';
import {
  explainSent,
  explainUnsent,
  inspectCall,
  type CallExplanation,
} from './call-explanation.ts';

/** Calls back once, when the actor is alive or dead; the result stops the wait. */
export function onceAliveOrDead(
  caller: ActorCaller,
  settle: (error?: MantaError) => void,
): () => void {
  return caller.watchers.once(
    () => caller.connectionState === 'dead' || caller.news.last?.state === 'alive',
    () => settle(caller.deathError),
  );
}

/** Resolves when the head has answered the request to create the actor. */
export function registered(caller: ActorCaller): Promise<void> {
  return new Promise((resolve) => caller.watchers.once(() => !caller.creating, resolve));
}

/** Resolves when the head has said of the actor what its own process has: a question to the head finds it so then. */
export function confirmed(caller: ActorCaller): Promise<void> {
  return new Promise((resolve) =>
    caller.watchers.once(() => caller.connectionState === 'dead' || !caller.news.isAhead, resolve),
  );
}

/** Resolves when every call made so far is in the actor's mailbox, or has ended. */
export async function delivered(caller: ActorCaller): Promise<void> {
  await new Promise<void>((resolve) =>
    caller.watchers.once(
      () =>
        caller.connectionState === 'dead' ||
        caller.unfinishedCalls === 0 ||
        (caller.connectionState === 'open' && caller.queue.isEmpty),
      resolve,
    ),
  );
  const { connection, unfinishedCalls } = caller;
  if (unfinishedCalls > 0 && connection !== undefined) await inspectCall(connection, 0);
}

/** What is known of a call that is not answered; asks the callee when it was sent. */
export async function explainCall(call: ActorCall): Promise<CallExplanation> {
  const { caller } = call;
  const { clock } = caller.core;
  const askedAt = clock.now();
  const where = {
    className: caller.className,
    actorId: caller.actorId,
    actorState: caller.news.last?.state ?? (caller.creating ? 'not registered yet' : 'pending'),
    connection: caller.connectionState,
    connectFailure: caller.connectFailure,
    nodeId: caller.news.last?.address?.nodeId,
    since: call.waitsSince?.at ?? caller.madeAt,
    blocker: caller.queue.blocker,
  };
  if (call.phase !== 'sent' || call.connection === undefined) return explainUnsent(call, where);
  const inspection = await inspectCall(call.connection, call.number);
  const since = inspection === undefined ? askedAt : clock.now() - inspection.ageMs;
  return explainSent(call, { ...where, since }, inspection?.state);
}

/** The calls of this caller that have not ended: those under way first, then those that wait here. */
export function unfinishedCallsOf(caller: ActorCaller): ActorCall[] {
  const underWay: ActorCall[] = [];
  for (const reply of caller.connection?.pending() ?? []) {
    if (reply instanceof ActorCall && reply.caller === caller) underWay.push(reply);
  }
  return [...underWay, ...caller.queue.waiting()];
}
