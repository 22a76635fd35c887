import type { CoreProcess } from '../core/core-process.ts';
import type { ActorSpec } from '../wire/messages.ts';

/** What code that runs in an actor can learn of where it runs. */
export interface RunningCall {
  readonly spec: ActorSpec;
  /** Lives that the actor has had before. */
  readonly restarts: number;
  readonly gpuIds: string[];
  /** Aborts when this call is cancelled, times out or its caller is gone. */
  readonly signal: AbortSignal;
  /** Of a task: the same in every attempt. */
  readonly taskId?: string | undefined;
  /** Ends the actor of this call; never returns. */
  exitActor(): never;
}

export type ActorConstructor = new (...args: never[]) => object;
export type TaskBody = (...args: never[]) => unknown;

/**
 * The seam between the host process, which fills it, and the SDK, which reads it. It hangs on a registered symbol,
 * so that a user's own copy of the SDK finds it too.
 */
export interface HostContext {
  readonly core: CoreProcess;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly brokerAddress: string;
  /** While a module loads. */
  define(moduleUrl: string, exportKey: string, code: ActorConstructor | TaskBody): void;
  /** The call whose code runs now; undefined while a module loads. */
  currentCall(): RunningCall | undefined;
  /** The driver's part of a module begins here: init() tells the loader, and never settles. */
  reachedDriverPart(): void;
}

const SLOT = Symbol.for('manta.host-context');

type Definition = Parameters<HostContext['define']>;
/** What the SDK itself defines: it is loaded before the host has its context. */
const early: Definition[] = [];

/** Called by defineActor and defineTask: tells the host of the class or function, also one that is still to be. */
export function defineInHost(...definition: Definition): void {
  const context = hostContext();
  if (context === undefined) early.push(definition);
  else context.define(...definition);
}

export function hostContext(): HostContext | undefined {
  return (globalThis as Record<symbol, unknown>)[SLOT] as HostContext | undefined;
}

export function provideHostContext(context: HostContext): void {
  (globalThis as Record<symbol, unknown>)[SLOT] = context;
  for (const definition of early.splice(0)) context.define(...definition);
}
