import { hostContext, type RunningCall } from '@manta/runtime/actor/host-context';
import { actorHandle, actorIdOf as idOfHandle, targetOf } from '@manta/runtime/core/actor-handle';
import { settingsOf } from '@manta/runtime/core/actor-registry';
import { headCaughtUp } from '@manta/runtime/core/head-lag';
import {
  ActorNotFoundError,
  GetTimeoutError,
  InvalidArgumentError,
} from '@manta/runtime/errors/errors';
import { delivered, onceAliveOrDead, registered } from '@manta/runtime/rpc/caller-questions';
import { ActorLookupReply } from '@manta/runtime/wire/actor-messages';
import { Acknowledgement } from '@manta/runtime/wire/messages';
import { checkFlags, checkTexts, checkTimeoutOptions } from './option-names.ts';
import { currentSession } from './session.ts';
import type { ActorHandle, AnyActorHandle, RuntimeContext } from './types.ts';

/**
 * A handle of a named actor.
 * @param options.namespace default: the namespace of this job.
 * @throws ActorNotFoundError when no living actor has that name there.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- the public contract: an actor of unknown class, whose methods are not known
export function getActor(name: string, options?: { namespace?: string }): Promise<any>;
export function getActor<A extends object>(
  name: string,
  options?: { namespace?: string },
): Promise<ActorHandle<A>>;
export async function getActor(
  name: string,
  options: { namespace?: string } = {},
): Promise<unknown> {
  if (typeof name !== 'string' || name === '')
    throw new InvalidArgumentError('getActor needs the name of an actor.');
  checkTexts(options, ['namespace'], 'getActor()');
  const { core, namespace: ownNamespace } = currentSession();
  const namespace = options.namespace ?? ownNamespace;
  await core.actors.creationsAnswered();
  await headCaughtUp(core);
  const head = await core.head();
  const { actor } = await head.request(
    'actor.lookup',
    { processId: core.processId, namespace, name },
    ActorLookupReply,
  );
  if (actor === undefined) {
    throw new ActorNotFoundError(
      `No living actor is called "${name}" in namespace "${namespace}". ` +
        "See `manta list actors`; an actor of another job needs that job's namespace.",
    );
  }
  const caller = core.actors.adoptDescription(actor);
  return actorHandle(core, caller, actor.methods);
}

/**
 * Resolves when the actor is alive.
 * @throws the error that ended it, or GetTimeoutError.
 */
export async function ready(
  handle: AnyActorHandle,
  options: { timeoutMs?: number } = {},
): Promise<void> {
  const { timeoutMs } = checkTimeoutOptions(options, 'ready()');
  const { caller, core } = targetOf(handle);
  core.callStarted();
  try {
    await new Promise<void>((resolve, reject) => {
      const cancelTimer =
        timeoutMs === undefined
          ? undefined
          : core.clock.after(timeoutMs, () =>
              settle(
                new GetTimeoutError(
                  `Actor ${caller.actorId} (${caller.className}) is not alive after ${timeoutMs} ms.`,
                ),
              ),
            );
      const settle = (error?: Error): void => {
        cancelTimer?.();
        stopWatching();
        if (error === undefined) resolve();
        else reject(error);
      };
      const stopWatching = onceAliveOrDead(caller, settle);
    });
  } finally {
    core.callFinished();
  }
}

/** Immediate; running and queued calls fail. `restart: true` lets maxRestarts apply. */
export async function kill(
  handle: AnyActorHandle,
  options: { restart?: boolean } = {},
): Promise<void> {
  checkFlags(options, ['restart'], 'kill()');
  const { caller, core } = targetOf(handle);
  await registered(caller);
  const head = await core.head();
  await head.request(
    'actor.kill',
    { actorId: caller.actorId, restart: options.restart },
    Acknowledgement,
  );
}

/** Graceful: after the calls queued so far; never restarted. */
export async function stop(handle: AnyActorHandle): Promise<void> {
  const { caller, core } = targetOf(handle);
  await registered(caller);
  await delivered(caller);
  const head = await core.head();
  await head.request('actor.stop', { actorId: caller.actorId }, Acknowledgement);
  caller.stopped();
}

export function actorIdOf(handle: AnyActorHandle): string {
  return idOfHandle(handle);
}

function runningCall(what: string): RunningCall {
  const call = hostContext()?.currentCall();
  if (call === undefined)
    throw new InvalidArgumentError(`${what} is for code that runs in an actor or a task.`);
  return call;
}

/** Where this code runs. @throws InvalidArgumentError outside of actors and tasks. */
export function runtimeContext(): RuntimeContext {
  const call = runningCall('runtimeContext()');
  const context = hostContext();
  const { spec } = call;
  return {
    clusterId: context?.clusterId ?? '',
    jobId: spec.jobId,
    nodeId: context?.nodeId ?? '',
    namespace: spec.namespace,
    ...(call.taskId === undefined ? { actorId: spec.actorId } : { taskId: call.taskId }),
    ...(spec.name === undefined ? {} : { actorName: spec.name }),
    restarts: call.restarts,
    gpuIds: [...call.gpuIds],
    assignedResources: assignedResources(spec.demand.resources),
    get signal() {
      return call.signal;
    },
  };
}

function assignedResources(
  amounts: RunningCall['spec']['demand']['resources'],
): Record<string, number> {
  const { cpus, gpus, memoryBytes, resources } = amounts;
  const named = { cpus, gpus, memoryBytes, ...resources };
  return Object.fromEntries(
    Object.entries(named).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}

/** A handle to the running actor itself. @throws InvalidArgumentError outside of an actor. */
export function self<A extends object>(): ActorHandle<A> {
  const { spec, taskId } = runningCall('self()');
  if (taskId !== undefined) throw new InvalidArgumentError('self() is for actors; this is a task.');
  const { core } = currentSession();
  const caller = core.actors.hold(settingsOf(spec));
  return actorHandle(core, caller, spec.methods) as unknown as ActorHandle<A>;
}

/** Ends the running actor after this call; it is not restarted. @throws InvalidArgumentError outside of an actor. */
export function exitActor(): never {
  return runningCall('exitActor()').exitActor();
}
