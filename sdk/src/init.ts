import { randomBytes, randomFillSync } from 'node:crypto';
import { rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import type { ChannelServer } from '@manta/runtime/channel/channel';
import { listenChannels } from '@manta/runtime/channel/channel-server';
import { machineId } from '@manta/runtime/channel/machine-id';
import { createActorHandle } from '@manta/runtime/core/actor-handle';
import { CoreProcess } from '@manta/runtime/core/core-process';
import { discoverCluster, HeadClient } from '@manta/runtime/core/head-client';
import { InvalidArgumentError, ProtocolError } from '@manta/runtime/errors/errors';
import { createIdMint } from '@manta/runtime/ids';
import { systemClock } from '@manta/runtime/time/clock';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import { isLoopback, localAddressTowards } from '@manta/runtime/transport/local-address';
import type { Transport } from '@manta/runtime/transport/transport';
import { JobStartReply } from '@manta/runtime/wire/job-messages';
import {
  Acknowledgement,
  PROTOCOL_VERSION,
  type ProcessAddress,
} from '@manta/runtime/wire/messages';
import { subjectsOf } from '@manta/runtime/wire/subjects';
import { checkInitOptions } from './actor-options.ts';
import { ClusterProcess } from './cluster-process.ts';
import { joinTarget } from './join-target.ts';
import { LivenessLink } from './liveness-link.ts';
import { printJobLogs } from './job-logs.ts';
import { createSessionDirectory, removeDeadSessions } from './session-directory.ts';
import { driverSessionOrUndefined, setDriverSession } from './session.ts';
import type { ClusterInfo, InitOptions } from './types.ts';

const DISCOVER_TIMEOUT_MS = 10_000;
const SHUTDOWN_GRACE_MS = 2_000;
const mintId = createIdMint((bytes) => randomFillSync(bytes));

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

/** See lifecycle.ts. */
export async function shutdown(): Promise<void> {
  const session = driverSessionOrUndefined();
  if (session === undefined) return;
  setDriverSession(undefined);
  try {
    const head = await session.core.head();
    await withinGrace(session.core.actors.creationsAnswered());
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

interface Target {
  url: string;
  token: string;
  /** Where this driver may make its socket, when it is known to be on a machine of the cluster. */
  socketDirectory?: string;
}

async function startPrivateCluster(options: InitOptions): Promise<Target> {
  const directory = await createSessionDirectory();
  const token = randomBytes(24).toString('hex');
  const { cpus, gpus, memoryBytes, resources } = options;
  const capacity = Object.fromEntries(
    Object.entries({ cpus, gpus, memoryBytes, resources }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  const cluster = await ClusterProcess.start({ directory, token, head: {}, node: capacity });
  closers.push(() => cluster.close());
  void removeDeadSessions();
  return { url: cluster.ready.url as string, token, socketDirectory: `${directory}/node/sockets` };
}

async function connect(options: InitOptions): Promise<ClusterInfo> {
  const target: Target = (await joinTarget(options)) ?? (await startPrivateCluster(options));
  const processId = mintId('process');
  const transport = await connectNats({
    servers: [target.url],
    token: target.token,
    name: `driver ${process.pid}`,
    background: true,
  });
  closers.push(() => transport.close());
  const { clusterId, protocolVersion } = await discoverCluster(
    transport,
    DISCOVER_TIMEOUT_MS,
    systemClock,
  );
  if (protocolVersion !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      `The cluster speaks protocol ${protocolVersion}, this SDK ${PROTOCOL_VERSION}: use matching versions.`,
    );
  }
  const jobId = mintId('job');
  const namespace = options.namespace ?? `anonymous-${jobId}`;
  const head = new HeadClient(transport, clusterId, systemClock);
  const startJob = () =>
    head.request(
      'job.start',
      {
        jobId,
        processId,
        pid: process.pid,
        hostname: hostname(),
        entrypoint: process.argv[1] ?? 'node',
        namespace,
      },
      JobStartReply,
    );
  const { home, dashboardUrl } = await startJob();
  const core: CoreProcess = createCore(target, transport, clusterId, processId);
  const homeSocket = home?.address.machineId === machineId() ? home.address.socketPath : undefined;
  const server = await listenAsDriver(core, target, transport, {
    homeSocket,
    tcpHost: await outerAddress(target.url),
  });
  closers.push(() => server.close());
  closers.push(endWithProcess(server.address.socketPath));
  Object.assign(core.options.address, server.address);
  closers.push(() => core.close());
  const link = new LivenessLink({ core, startJob: async () => (await startJob()).home?.address });
  await link.open(home?.address);
  if (homeSocket !== undefined) await useStore(core, home?.address);
  closers.push(() => link.close());
  if (options.logToDriver !== false)
    transport.subscribe(subjectsOf(clusterId).jobLogs(jobId), printJobLogs());

  const info: ClusterInfo = {
    clusterId,
    jobId,
    nodeId: home?.nodeId ?? '',
    namespace,
    address: target.url,
    ...(dashboardUrl === undefined ? {} : { dashboardUrl }),
  };
  const { env, setupTimeoutMs } = options.runtimeEnv ?? {};
  setDriverSession({ core, jobId, namespace, info, env, setupTimeoutMs });
  return info;
}

/** Large values go to the shared memory of the node on this machine; without it they stay in the heap. */
async function useStore(core: CoreProcess, agent: ProcessAddress | undefined): Promise<void> {
  core.store.useAgent(agent);
  try {
    await core.store.attach();
  } catch (error) {
    core.store.useAgent(undefined);
    core.warn('the object store of this node cannot be used; values stay in the heap', error);
  }
}

function createCore(
  target: Target,
  transport: Transport,
  clusterId: CoreProcess['options']['clusterId'],
  processId: CoreProcess['options']['processId'],
): CoreProcess {
  const core: CoreProcess = new CoreProcess({
    clusterId,
    processId,
    role: 'driver',
    machineId: machineId(),
    token: target.token,
    clock: systemClock,
    mintId,
    connectTransport: () => Promise.resolve(transport),
    address: {
      processId,
      nodeId: undefined,
      machineId: machineId(),
      socketPath: undefined,
      tcp: undefined,
    },
    reviveHandle: (data) => createActorHandle(core, data),
    warn: (message, error) =>
      // oxlint-disable-next-line eslint/no-console -- a driver has no log but its terminal
      console.warn(`manta: ${message}:`, error instanceof Error ? error.message : error),
  });
  return core;
}

/**
 * A program that does not call shutdown() ends when nothing is pending, and is shut down in order first. However it
 * ends, its socket is removed.
 */
function endWithProcess(socketPath: string | undefined): () => void {
  const onIdle = (): void => void shutdown();
  const onExit = (): void => {
    if (socketPath !== undefined) rmSync(socketPath, { force: true });
  };
  process.once('beforeExit', onIdle);
  process.once('exit', onExit);
  return () => {
    process.off('beforeExit', onIdle);
    process.off('exit', onExit);
  };
}

/** Where this process is reached from the other machines of the cluster; none when it is on this machine alone. */
async function outerAddress(url: string): Promise<string | undefined> {
  const address = await localAddressTowards(url);
  return address === undefined || isLoopback(address) ? undefined : address;
}

interface DriverWays {
  /** A socket of the node that this driver is linked to, on this machine. */
  homeSocket: string | undefined;
  tcpHost: string | undefined;
}

/** Others come to the driver for the objects it owns: by a socket on its node's machine, by TCP, else through NATS. */
function listenAsDriver(
  core: CoreProcess,
  target: Target,
  transport: Transport,
  { homeSocket, tcpHost }: DriverWays,
): Promise<ChannelServer> {
  const { clusterId, processId } = core.options;
  const socketDirectory =
    target.socketDirectory ?? (homeSocket === undefined ? undefined : dirname(homeSocket));
  return listenChannels({
    processId,
    role: 'driver',
    machineId: machineId(),
    ...(socketDirectory === undefined ? {} : { socketDirectory }),
    ...(tcpHost === undefined ? {} : { tcpHost }),
    nats: { transport, subject: subjectsOf(clusterId).processChannel(processId) },
    token: target.token,
    background: true,
    onRefused: (reason) => core.warn('a channel was refused', reason),
    onChannel: (channel) => {
      channel.onRecord((record) => {
        if (core.receiveObjectRecord(channel, record)) return;
        throw new ProtocolError(`A driver was sent a record of kind ${String(record[0])}.`);
      });
      channel.onClose(() => core.objects.peerLost(channel.peer.processId));
    },
  });
}
