import { defineInHost, type TaskBody } from '@manta/runtime/actor/host-context';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { checkCallOptions, type CallOptions } from '@manta/runtime/rpc/call-options';
import type { TaskFunction } from '@manta/runtime/tasks/task-function';
import { nameDefinition } from './definition-names.ts';
import { currentSession, sessionKey } from './session.ts';
import { checkTaskOptions, definitionFrom, templateFrom } from './task-options.ts';
import type { RemoteTask, TaskOptions, WithRefs } from './types.ts';

interface Definition {
  /** Empty: it has none. */
  functionName: string;
  moduleUrl: string;
  exportKey: string;
  stream: boolean;
}

const CLASS = /^class\b/;
const GENERATORS = new Set(['GeneratorFunction', 'AsyncGeneratorFunction']);

/**
 * Makes a function a task: a call of the result runs it in a worker process somewhere in the cluster and gives the
 * ref of its result at once; a generator gives a stream. `meta` is `import.meta` of the module that defines it:
 * worker nodes load that module to find the function, so it must be defined at the top level.
 *
 * Without options a task takes 1 CPU, and runs up to 4 times when its worker or node dies.
 * @throws InvalidArgumentError when an argument or option is not what it must be.
 */
export function defineTask<P extends unknown[], R>(
  meta: ImportMeta,
  fn: (...args: P) => R,
  options: TaskOptions = {},
): RemoteTask<P, R> {
  if (typeof meta?.url !== 'string') {
    throw new InvalidArgumentError(
      'defineTask needs import.meta of the module that defines the function as its first argument.',
    );
  }
  if (typeof fn !== 'function')
    throw new InvalidArgumentError('defineTask needs a function as its second argument.');
  if (CLASS.test(Function.prototype.toString.call(fn)))
    throw new InvalidArgumentError(`${fn.name} is a class: make an actor of it with defineActor.`);
  checkTaskOptions(options);
  const exportKey = nameDefinition(meta.url, `task ${fn.name || options.name || 'anonymous'}`);
  defineInHost(meta.url, exportKey, fn as unknown as TaskBody);
  const stream = GENERATORS.has(fn.constructor.name);
  const definition = { functionName: fn.name, moduleUrl: meta.url, exportKey, stream };
  return remoteTask(definition, options, undefined);
}

function remoteTask<P extends unknown[], R>(
  definition: Definition,
  options: TaskOptions,
  callOptions: CallOptions | undefined,
): RemoteTask<P, R> {
  let boundTo: object | undefined;
  let bound: TaskFunction | undefined;
  const bind = (): TaskFunction => {
    const key = sessionKey();
    if (key === undefined || key !== boundTo || bound === undefined) {
      const session = currentSession();
      bound = session.core.tasks.functionFor(
        definitionFrom(definition, options),
        templateFrom(options, session),
      );
      boundTo = key;
    }
    return bound;
  };
  const submit = (...args: unknown[]): unknown => {
    const task = bind();
    const call =
      callOptions === undefined
        ? task.submitter.submit(task, args)
        : task.submitter.submitWith(task, args, callOptions);
    return definition.stream ? call.openStream() : call;
  };
  const remote = submit as (...args: WithRefs<P>) => ReturnType<RemoteTask<P, R>>;
  return Object.assign(remote, {
    options: (more: TaskOptions & CallOptions): RemoteTask<P, R> => {
      const { taskOptions, ofCall } = splitOptions(more);
      const nextCallOptions =
        ofCall === undefined ? callOptions : checkCallOptions({ ...callOptions, ...ofCall });
      return remoteTask(definition, { ...options, ...taskOptions }, nextCallOptions);
    },
  });
}

const CALL_OPTIONS = ['timeoutMs', 'signal', 'maxBufferedItems'] as const;
const ACTOR_ONLY = ['concurrencyGroup', 'idempotencyKey'] as const;

/** @throws InvalidArgumentError for what only calls of actors can have. */
function splitOptions({ maxTaskRetries, ...options }: TaskOptions & CallOptions): {
  taskOptions: TaskOptions;
  ofCall: CallOptions | undefined;
} {
  for (const name of ACTOR_ONLY) {
    if (options[name] !== undefined)
      throw new InvalidArgumentError(`${name} is for calls of actors; a task has no actor.`);
  }
  const taskOptions: Record<string, unknown> = { ...options };
  if (maxTaskRetries !== undefined) taskOptions['maxRetries'] ??= maxTaskRetries;
  const ofCall: Record<string, unknown> = {};
  for (const name of CALL_OPTIONS) {
    if (options[name] !== undefined) ofCall[name] = options[name];
    delete taskOptions[name];
  }
  return {
    taskOptions: checkTaskOptions(taskOptions as TaskOptions),
    ofCall: Object.keys(ofCall).length === 0 ? undefined : (ofCall as CallOptions),
  };
}
