import {
  TASK_WORKER,
  type LeaseTemplate,
  type TaskDefinition,
} from '@manta/runtime/tasks/task-function';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import {
  checkOptions,
  demandFrom,
  isLimit,
  isWhole,
  SCHEDULING_RULES,
  type Rules,
} from './actor-options.ts';
import type { SdkSession } from './session.ts';
import type { TaskOptions } from './types.ts';

const MAX_RETRIES = 3;
const TASK_CPUS = 1;

const RULES: Rules<TaskOptions> = {
  ...SCHEDULING_RULES,
  name: [(value) => typeof value === 'string' && value !== '', 'a text'],
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
  return {
    kind: 'task-worker',
    jobId: session.jobId,
    ownerId: session.core.processId,
    className: TASK_WORKER.exportKey,
    classReference: TASK_WORKER,
    methods: [],
    encodedArgs: new Uint8Array(),
    namespace: session.namespace,
    name: undefined,
    getIfExists: undefined,
    lifetime: 'job',
    isolation: 'process',
    maxRestarts: 0,
    maxTaskRetries: 0,
    retryExceptions: undefined,
    maxConcurrency: 1,
    concurrencyGroups: undefined,
    concurrencyGroupOf: undefined,
    maxPendingCalls: undefined,
    allowOutOfOrderExecution: undefined,
    gracefulShutdownMs: 0,
    env: Object.keys(env).length === 0 ? undefined : env,
    setupTimeoutMs: options.runtimeEnv?.setupTimeoutMs ?? session.setupTimeoutMs,
    demand: demandFrom({ cpus: TASK_CPUS, ...options }),
    schedulingTimeoutMs: options.schedulingTimeoutMs,
  };
}
