import {
  TASK_WORKER,
  type LeaseTemplate,
  type TaskDefinition,
} from '@manta/runtime/tasks/task-function';
import { PLAIN_SPEC } from '@manta/runtime/wire/plain-spec';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import {
  checkOptions,
  checkSettings,
  demandFrom,
  isLimit,
  isWhole,
  NAME_RULE,
  SCHEDULING_RULES,
  type Rules,
} from './actor-options.ts';
import type { SdkSession } from './session.ts';
import type { TaskOptions } from './types.ts';

const MAX_RETRIES = 3;
const TASK_CPUS = 1;

const RULES: Rules<TaskOptions> = {
  ...SCHEDULING_RULES,
  name: NAME_RULE,
  maxRetries: [isLimit, '-1 (without end), 0 or more'],
  maxCalls: [isWhole, '1 or more, or 0 for no limit'],
};

/** @throws InvalidArgumentError naming the option that is wrong, and what it must be. */
export function checkTaskOptions(options: TaskOptions): TaskOptions {
  return checkOptions(options, RULES, 'task');
}

/** The complete internal form: every default is set here and nowhere else. */
export function definitionFrom(
  {
    functionName,
    moduleUrl,
    exportKey,
    stream,
  }: { functionName: string; moduleUrl: string; exportKey: string; stream: boolean },
  options: TaskOptions,
): TaskDefinition {
  const usesGpu = (options.gpus ?? 0) > 0 || options.gpuMemoryBytes !== undefined;
  return {
    name: functionName || options.name || 'anonymous',
    reference: { moduleUrl, exportKey },
    stream,
    maxRetries: options.maxRetries ?? MAX_RETRIES,
    retryExceptions: options.retryExceptions,
    // So that the memory of a device is free when the task has ended.
    maxCalls: options.maxCalls ?? (usesGpu ? 1 : 0),
  };
}

/** What a worker for such tasks is asked for with. */
export function templateFrom(options: TaskOptions, session: SdkSession): LeaseTemplate {
  if (options.gpus !== undefined && options.gpuMemoryBytes !== undefined)
    throw new InvalidArgumentError('Ask for gpus or for gpuMemoryBytes, not for both.');
  const env = { ...session.env, ...options.runtimeEnv?.env };
  return checkSettings({
    ...PLAIN_SPEC,
    kind: 'task-worker',
    jobId: session.jobId,
    ownerId: session.core.processId,
    className: TASK_WORKER.exportKey,
    classReference: TASK_WORKER,
    namespace: session.namespace,
    env: Object.keys(env).length === 0 ? undefined : env,
    setupTimeoutMs: options.runtimeEnv?.setupTimeoutMs ?? session.setupTimeoutMs,
    demand: demandFrom({ cpus: TASK_CPUS, ...options }),
    schedulingTimeoutMs: options.schedulingTimeoutMs,
  });
}
