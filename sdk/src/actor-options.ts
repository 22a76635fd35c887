import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { ActorSpec, ClassReference, Demand, MethodEntry } from '@manta/runtime/wire/messages';
import { checkOptionNames } from './option-names.ts';
import type { SdkSession } from './session.ts';
import type {
  ActorOptions,
  InitOptions,
  ResourceAmounts,
  RuntimeEnv,
  SchedulingOptions,
} from './types.ts';

const GRACEFUL_SHUTDOWN_MS = 30_000;

type Check = (value: unknown) => boolean;
const isAmount: Check = (value) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;
export const isWhole: Check = (value) => Number.isInteger(value) && (value as number) >= 0;
export const isLimit: Check = (value) => Number.isInteger(value) && (value as number) >= -1;
const isPositive: Check = (value) => Number.isInteger(value) && (value as number) >= 1;
export const isText: Check = (value) => typeof value === 'string' && value !== '';
const isFlag: Check = (value) => typeof value === 'boolean';
export const oneOf =
  (...choices: string[]): Check =>
  (value) =>
    choices.includes(value as string);
export const recordOf =
  (check: Check): Check =>
  (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every(check);
const RUNTIME_ENV_RULES: Record<keyof RuntimeEnv, Check> = {
  env: recordOf((value) => typeof value === 'string'),
  setupTimeoutMs: isWhole,
};
const isRuntimeEnv: Check = (value) =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).every(
    ([name, field]) =>
      Object.hasOwn(RUNTIME_ENV_RULES, name) &&
      (field === undefined || RUNTIME_ENV_RULES[name as keyof RuntimeEnv](field)),
  );

/** Every option with what it must be, in words and as a check. */
export type Rules<O> = Record<keyof O, [Check, string]>;

/** What actors and tasks have in common. */
export const SCHEDULING_RULES: Rules<SchedulingOptions & Pick<ActorOptions, 'retryExceptions'>> = {
  cpus: [isAmount, 'a number of 0 or more'],
  gpus: [
    (value) => isAmount(value) && ((value as number) < 1 || Number.isInteger(value)),
    'a share below 1, or a whole number of devices',
  ],
  memoryBytes: [isAmount, 'a number of bytes'],
  resources: [recordOf(isAmount), 'a record of amounts'],
  gpuMemoryBytes: [isWhole, 'a whole number of bytes'],
  acceleratorType: [isText, 'the name of an accelerator'],
  scheduling: [
    (value) =>
      value === 'hybrid' ||
      value === 'spread' ||
      (typeof value === 'object' &&
        value !== null &&
        isText((value as { nodeId?: unknown }).nodeId)),
    "'hybrid', 'spread' or { nodeId, soft? }",
  ],
  labels: [recordOf(isText), 'a record of label expressions'],
  schedulingTimeoutMs: [isWhole, 'a whole number of milliseconds'],
  runtimeEnv: [isRuntimeEnv, '{ env?: a record of texts, setupTimeoutMs?: a whole number }'],
  retryExceptions: [
    (value) => typeof value === 'boolean' || (Array.isArray(value) && value.every(isText)),
    'true, false or a list of error names',
  ],
};

const { cpus, memoryBytes, resources, runtimeEnv } = SCHEDULING_RULES;

/** What a node has. */
export const CAPACITY_RULES: Rules<ResourceAmounts> = {
  ...{ cpus, memoryBytes, resources },
  gpus: [isWhole, 'a whole number of devices (actors may ask for shares of one)'],
};

const INIT_RULES: Rules<InitOptions> = {
  ...CAPACITY_RULES,
  runtimeEnv,
  address: [isText, "a text: 'auto' or nats://host:port"],
  namespace: [isText, 'a text'],
  token: [(value) => typeof value === 'string', 'a text'],
  logToDriver: [isFlag, 'true or false'],
};

/** @throws InvalidArgumentError naming the option that is wrong, and what it must be. */
export function checkInitOptions(options: InitOptions): InitOptions {
  return checkOptions(options, INIT_RULES, 'init');
}

const RULES: Rules<ActorOptions> = {
  ...SCHEDULING_RULES,
  name: [isText, 'a text'],
  namespace: [isText, 'a text'],
  getIfExists: [isFlag, 'true or false'],
  lifetime: [oneOf('job', 'detached'), "'job' or 'detached'"],
  isolation: [oneOf('process', 'thread', 'shared'), "'process', 'thread' or 'shared'"],
  maxRestarts: [isLimit, '-1 (without end), 0 or more'],
  maxTaskRetries: [isLimit, '-1 (without end), 0 or more'],
  maxConcurrency: [isPositive, '1 or more'],
  concurrencyGroups: [recordOf(isPositive), 'a record of limits of 1 or more'],
  concurrencyGroupOf: [recordOf(isText), 'a record from method to group'],
  maxPendingCalls: [isPositive, '1 or more'],
  allowOutOfOrderExecution: [isFlag, 'true or false'],
  gracefulShutdownMs: [isWhole, 'a whole number of milliseconds'],
};

/** @throws InvalidArgumentError naming the option that is wrong, and what it must be. */
export function checkActorOptions(options: ActorOptions): ActorOptions {
  return checkOptions(options, RULES, 'actor');
}

/** @throws InvalidArgumentError naming the option that is wrong, and what it must be. */
export function checkOptions<O extends object>(options: O, rules: Rules<O>, what: string): O {
  checkOptionNames(options, Object.keys(rules), what);
  for (const [name, value] of Object.entries(options)) {
    const rule = rules[name as keyof O];
    if (value !== undefined && !rule[0](value)) {
      const label = `${what[0]?.toUpperCase()}${what.slice(1)}`;
      throw new InvalidArgumentError(
        `${label} option ${name} must be ${rule[1]}; got ${describe(value)}.`,
      );
    }
  }
  return options;
}

const describe = (value: unknown): string =>
  typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? String(value));

/** The complete internal form: every default is set here and nowhere else. */
export function specFrom(
  definition: { className: string; reference: ClassReference; methods: MethodEntry[] },
  options: ActorOptions,
  session: SdkSession,
): ActorSpec {
  checkTogether(options);
  const env = { ...session.env, ...options.runtimeEnv?.env };
  return {
    actorId: session.core.options.mintId('actor'),
    jobId: session.jobId,
    ownerId: session.core.processId,
    className: definition.className,
    classReference: definition.reference,
    methods: definition.methods,
    encodedArgs: new Uint8Array(),
    namespace: options.namespace ?? session.namespace,
    name: options.name,
    getIfExists: options.getIfExists,
    lifetime: options.lifetime ?? 'job',
    isolation: options.isolation ?? 'process',
    maxRestarts: options.maxRestarts ?? 0,
    maxTaskRetries: options.maxTaskRetries ?? 0,
    retryExceptions: options.retryExceptions,
    maxConcurrency: options.maxConcurrency ?? 1,
    concurrencyGroups: options.concurrencyGroups,
    concurrencyGroupOf: options.concurrencyGroupOf,
    maxPendingCalls: options.maxPendingCalls,
    allowOutOfOrderExecution: options.allowOutOfOrderExecution,
    gracefulShutdownMs: options.gracefulShutdownMs ?? GRACEFUL_SHUTDOWN_MS,
    env: Object.keys(env).length === 0 ? undefined : env,
    setupTimeoutMs: options.runtimeEnv?.setupTimeoutMs ?? session.setupTimeoutMs,
    demand: demandFrom(options),
    schedulingTimeoutMs: options.schedulingTimeoutMs,
  };
}

export function demandFrom(options: SchedulingOptions): Demand {
  const { cpus, gpus, memoryBytes, resources } = options;
  return {
    resources: { cpus, gpus, memoryBytes, resources },
    gpuMemoryBytes: options.gpuMemoryBytes,
    acceleratorType: options.acceleratorType,
    labels: options.labels,
    scheduling: options.scheduling,
  };
}

function checkTogether(options: ActorOptions): void {
  if (options.getIfExists === true && options.name === undefined) {
    throw new InvalidArgumentError('getIfExists needs a name.');
  }
  if (options.gpus !== undefined && options.gpuMemoryBytes !== undefined) {
    throw new InvalidArgumentError('Ask for gpus or for gpuMemoryBytes, not for both.');
  }
  if (Object.hasOwn(options.concurrencyGroups ?? {}, 'default')) {
    throw new InvalidArgumentError(
      'concurrencyGroups.default: how many calls of the default group run at a time is said by maxConcurrency.',
    );
  }
  for (const [method, group] of Object.entries(options.concurrencyGroupOf ?? {})) {
    if (!Object.hasOwn(options.concurrencyGroups ?? {}, group)) {
      throw new InvalidArgumentError(
        `concurrencyGroupOf.${method} names the group "${group}", which concurrencyGroups does not define.`,
      );
    }
  }
}
