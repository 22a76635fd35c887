import { hostContext } from '@manta/runtime/actor/host-context';
import { currentSession, driverSessionOrUndefined } from './session.ts';
import type { ClusterInfo, InitOptions } from './types.ts';

/**
 * Connects this process to a cluster as a driver, or starts a private one.
 * In a module that a worker loads for its actor classes it never settles, so that the driver's part does not run there.
 * @throws InvalidArgumentError when this process is connected already.
 * @throws AuthenticationError when the token is wrong.
 * @throws ClusterUnavailableError when no cluster answers at the address.
 */
export async function init(options: InitOptions = {}): Promise<ClusterInfo> {
  const context = hostContext();
  if (context !== undefined) {
    if (context.currentCall() !== undefined) return currentSession().info;
    context.reachedDriverPart();
    return new Promise<never>(() => undefined);
  }
  // Loaded here, not above: actor hosts import the SDK too, and must not pay for what only drivers need.
  return keepingAlive(async () => (await import('./init.ts')).init(options));
}

/** The connections of a driver do not keep its process alive; what it waits for does. */
async function keepingAlive<T>(work: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, 2 ** 30);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Ends this driver: its actors that are not detached, and a private cluster. Without init() it does nothing. */
export async function shutdown(): Promise<void> {
  if (driverSessionOrUndefined() === undefined) return;
  await keepingAlive(async () => (await import('./init.ts')).shutdown());
}

export function isInitialized(): boolean {
  return driverSessionOrUndefined() !== undefined || hostContext()?.currentCall() !== undefined;
}
