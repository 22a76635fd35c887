import { hostContext } from '@manta/runtime/actor/host-context';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import { NotInitializedError } from '@manta/runtime/errors/errors';
import type { JobId } from '@manta/runtime/ids';
import type { ClusterInfo } from './types.ts';

/** What the functions of the SDK need of the process they run in. */
export interface SdkSession {
  core: CoreProcess;
  jobId: JobId;
  namespace: string;
  info: ClusterInfo;
  env: Record<string, string> | undefined;
  setupTimeoutMs: number | undefined;
  /** What actors print is printed here, too. */
  printsLogs?: boolean;
}

let driverSession: SdkSession | undefined;
let wasShutDown = false;

export function setDriverSession(session: SdkSession | undefined): void {
  wasShutDown = driverSession !== undefined && session === undefined;
  driverSession = session;
}

export function driverSessionOrUndefined(): SdkSession | undefined {
  return driverSession;
}

/** Changes when `currentSession` would: what was made for one session can be kept under it. */
export function sessionKey(): object | undefined {
  return driverSession ?? hostContext()?.currentCall()?.spec;
}

/**
 * The session of this process: the driver's, or that of the actor whose code runs.
 * @throws NotInitializedError before init() and after shutdown().
 */
export function currentSession(): SdkSession {
  if (driverSession !== undefined) return driverSession;
  const context = hostContext();
  const call = context?.currentCall();
  if (context === undefined || call === undefined) {
    throw new NotInitializedError(
      wasShutDown
        ? 'Manta was shut down in this process: call `await init()` to connect it again.'
        : 'Manta is not connected to a cluster in this process: call `await init()` first.',
    );
  }
  const { jobId, namespace } = call.spec;
  return {
    core: context.core,
    jobId,
    namespace,
    // Inherited, as in Ray: what an actor or a task starts has its variables too.
    env: call.spec.env,
    setupTimeoutMs: call.spec.setupTimeoutMs,
    info: {
      clusterId: context.clusterId,
      jobId,
      nodeId: context.nodeId,
      namespace,
      address: context.brokerAddress,
    },
  };
}
