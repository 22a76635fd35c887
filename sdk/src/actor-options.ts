import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { LeaseTemplate } from '@manta/runtime/tasks/task-function';
import { LIMITS } from '@manta/runtime/wire/limits';
import { messageBytes } from '@manta/runtime/wire/message-size';
import { PLAIN_SPEC } from '@manta/runtime/wire/plain-spec';
import { shortened } from '@manta/runtime/wire/shortened';
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
export const isName: Check = (value) =>
  isText(value) && (value as string).length <= LIMITS.nameLength;
const isFlag: Check = (value) => typeof value === 'boolean';
export const oneOf =
  (...choices: string[]): Check =>
  (value) =>
    choices.includes(value as string);
export const recordOf =
  (check: Check): Check =>
  (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every(check);
/** What the wire allows of such a record: labels, resources, groups. */
const smallRecordOf =
  (check: Check): Check =>
  (value) =>
    recordOf(check)(value) &&
    Object.keys(value as object).every(isName) &&
    Object.keys(value as object).length <= LIMITS.recordEntries;
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

const NAME = `a text of up to ${LIMITS.nameLength} characters`;
const ENTRIES = `up to ${LIMITS.recordEntries} entries`;
export const NAME_RULE: [Check, string] = [isName, NAME];

/** What actors and tasks have in common. */
export const SCHEDULING_RULES: Rules<SchedulingOptions & Pick<ActorOptions, 'retryExceptions'>> = {
  cpus: [isAmount, 'a number of 0 or more'],
  gpus: [
    (value) => isAmount(value) && ((value as number) < 1 || Number.isInteger(value)),
    'a share below 1, or a whole number of devices',
  ],
  memoryBytes: [isAmount, 'a number of bytes'],
  resources: [smallRecordOf(isAmount), `a record of amounts with ${ENTRIES}`],
  gpuMemoryBytes: [isWhole, 'a whole number of bytes'],
  acceleratorType: [isName, `the name of an accelerator, ${NAME}`],
  scheduling: [
    (value) =>
      value === 'hybrid' ||
      value === 'spread' ||
      (typeof value === 'object' &&
        value !== null &&
        isText((value as { nodeId?: unknown }).nodeId)),
    "'hybrid', 'spread' or { nodeId, soft? }",
  ],
  labels: [smallRecordOf(isText), `a record of label expressions with ${ENTRIES}`],
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
  address: [isText, "a text: 'auto', nats://host:port or tls://host:port"],
  namespace: NAME_RULE,
  token: [(value) => typeof value === 'string', 'a text'],
  logToDriver: [isFlag, 'true or false'],
};

/** @throws InvalidArgumentError naming the option that is wrong, and what it must be. */
export function checkInitOptions(options: InitOptions): InitOptions {
  return checkOptions(options, INIT_RULES, 'init');
}

const RULES: Rules<ActorOptions> = {
  ...SCHEDULING_RULES,
  name: NAME_RULE,
  namespace: NAME_RULE,
  getIfExists: [isFlag, 'true or false'],
  lifetime: [oneOf('job', 'detached'), "'job' or 'detached'"],
  isolation: [oneOf('process', 'thread', 'shared'), "'process', 'thread' or 'shared'"],
  maxRestarts: [isLimit, '-1 (without end), 0 or more'],
  maxTaskRetries: [isLimit, '-1 (without end), 0 or more'],
  maxConcurrency: [isPositive, '1 or more'],
  concurrencyGroups: [smallRecordOf(isPositive), `a record of limits of 1 or more with ${ENTRIES}`],
  concurrencyGroupOf: [smallRecordOf(isName), `a record from method to group with ${ENTRIES}`],
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

const SHOWN_LENGTH_MAX = 200;
const describe = (value: unknown): string =>
  shortened(
    typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? String(value)),
    SHOWN_LENGTH_MAX,
  );

/** The complete internal form: every default is set here and nowhere else. */
export function specFrom(
  definition: { className: string; reference: ClassReference; methods: MethodEntry[] },
  options: ActorOptions,
  session: SdkSession,
): ActorSpec {
  checkTogether(options);
  const env = { ...session.env, ...options.runtimeEnv?.env };
  const spec: ActorSpec = {
    ...PLAIN_SPEC,
    actorId: session.core.options.mintId('actor'),
    jobId: session.jobId,
    ownerId: session.core.processId,
    className: definition.className,
    classReference: definition.reference,
    methods: definition.methods,
    namespace: options.namespace ?? session.namespace,
    name: options.name,
    getIfExists: options.getIfExists,
    lifetime: options.lifetime ?? PLAIN_SPEC.lifetime,
    isolation: options.isolation ?? PLAIN_SPEC.isolation,
    maxRestarts: options.maxRestarts ?? PLAIN_SPEC.maxRestarts,
    maxTaskRetries: options.maxTaskRetries ?? PLAIN_SPEC.maxTaskRetries,
    retryExceptions: options.retryExceptions,
    maxConcurrency: options.maxConcurrency ?? PLAIN_SPEC.maxConcurrency,
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
  return checkSettings(spec);
}

/** Where the user finds what a large part of a specification says. */
const ORIGINS: Partial<Record<keyof ActorSpec, string>> = {
  env: 'runtimeEnv.env',
  demand: 'labels, resources and scheduling',
  methods: 'the names of the methods',
  classReference: 'the URL of the module',
};

/**
 * Everything but the arguments goes along with every message about the actor or the worker of the task.
 * @throws InvalidArgumentError naming what takes most.
 */
export function checkSettings<S extends LeaseTemplate>(settings: S): S {
  const bytes = messageBytes(settings);
  if (bytes <= LIMITS.specSettingsBytes) return settings;
  const parts = Object.entries(settings) as [keyof ActorSpec, unknown][];
  const [largest] = parts.sort(([, a], [, b]) => messageBytes(b) - messageBytes(a)) as [
    [keyof ActorSpec, unknown],
  ];
  throw new InvalidArgumentError(
    `The options of ${settings.className} take ${bytes} bytes, at most ${LIMITS.specSettingsBytes} can be sent; ` +
      `${ORIGINS[largest[0]] ?? largest[0]}: ${messageBytes(largest[1])}. Pass large values as arguments.`,
  );
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
