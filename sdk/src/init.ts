import { randomBytes } from 'node:crypto';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { parseId } from '@manta/runtime/ids';
import { Acknowledgement } from '@manta/runtime/wire/messages';
import { checkInitOptions } from './actor-options.ts';
import { ClusterProcess } from './cluster-process.ts';
import type * as driverModule from './driver.ts';
import type { DriverTarget } from './driver.ts';
import { joinTarget } from './join-target.ts';
import { createSessionDirectory, removeDeadSessions } from './session-directory.ts';
import { driverSessionOrUndefined, setDriverSession, type SdkSession } from './session.ts';
import type { ClusterInfo, InitOptions } from './types.ts';

const SHUTDOWN_GRACE_MS = 2_000;

/** What init() opened and shutdown() closes, last first. */
let closers: (() => Promise<void> | void)[] = [];
let starting: Promise<ClusterInfo> | undefined;

/** See lifecycle.ts. */
export async function init(options: InitOptions): Promise<ClusterInfo> {
  if (driverSessionOrUndefined() !== undefined || starting !== undefined) {
    throw new InvalidArgumentError('init() was called twice; call `await shutdown()` in between.');
  }
  starting = connect(checkInitOptions(options));
  try {
    return await starting;
  } catch (error) {
    await closeAll();
    throw error;
  } finally {
    starting = undefined;
  }
}

async function connect(options: InitOptions): Promise<ClusterInfo> {
  const joined = await joinTarget(options);
  const { driver, target } =
    joined === undefined
      ? await startPrivateCluster(options)
      : { driver: await import('./driver.ts'), target: joined };
  closers.push(endWithProcess());
  return driver.connectDriver(target, options, (close) => closers.push(close));
}

/** The cluster comes up while this process loads what a driver needs: both take about as long. */
async function startPrivateCluster(
  options: InitOptions,
): Promise<{ driver: typeof driverModule; target: DriverTarget }> {
  const directory = await createSessionDirectory();
  const token = randomBytes(24).toString('hex');
  const { cpus, gpus, memoryBytes, resources } = options;
  const capacity = Object.fromEntries(
    Object.entries({ cpus, gpus, memoryBytes, resources }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  const [cluster, driver] = await Promise.all([
    ClusterProcess.start({ directory, token, head: {}, node: capacity }),
    loadDriver(),
  ]);
  closers.push(() => cluster.close());
  void removeDeadSessions();
  const { url = '', clusterId } = cluster.ready;
  const socketDirectory = `${directory}/node/sockets`;
  return {
    driver,
    target: { url, token, clusterId: parseId('cluster', clusterId), socketDirectory },
  };
}

async function loadDriver(): Promise<typeof driverModule> {
  const driver = await import('./driver.ts');
  driver.warmUp();
  return driver;
}

/** A program that does not call shutdown() ends when nothing is pending, and is shut down in order first. */
function endWithProcess(): () => void {
  const onIdle = (): void => void shutdown();
  process.once('beforeExit', onIdle);
  return () => process.off('beforeExit', onIdle);
}

/** See lifecycle.ts. */
export async function shutdown(): Promise<void> {
  const session = driverSessionOrUndefined();
  if (session === undefined) return;
  setDriverSession(undefined);
  try {
    const head = await session.core.head();
    await withinGrace(session.core.actors.creationsAnswered());
    if (session.printsLogs === true) await printLast(session);
    session.core.leave();
    await head.request(
      'job.end',
      { jobId: session.jobId, processId: session.core.processId },
      Acknowledgement,
      SHUTDOWN_GRACE_MS,
    );
  } catch (error) {
    // The head learns it from the closed liveness link.
    session.core.warn('the end of the job could not be announced', error);
  } finally {
    await closeAll();
  }
}

async function printLast({ core, jobId }: SdkSession): Promise<void> {
  try {
    const { printLastLogs } = await import('./job-logs.ts');
    await printLastLogs(core, jobId);
  } catch (error) {
    core.warn('what actors printed last is only in their log files', error);
  }
}

/** What is asked of the head before the end is done first; a head that is away does not hold the end up. */
async function withinGrace(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SHUTDOWN_GRACE_MS);
  });
  await Promise.race([work, grace]);
  clearTimeout(timer);
}

async function closeAll(): Promise<void> {
  const steps = closers.reverse();
  closers = [];
  for (const step of steps) await step();
}
