import { hostname } from 'node:os';
import { existsSync, rmSync } from 'node:fs';
import { randomFillSync } from 'node:crypto';
import { dirname } from 'node:path';
import type { ChannelServer } from '@manta/runtime/channel/channel';
import { listenChannels } from '@manta/runtime/channel/channel-server';
import { machineId } from '@manta/runtime/channel/machine-id';
import { createActorHandle } from '@manta/runtime/core/actor-handle';
import { CoreProcess } from '@manta/runtime/core/core-process';
import { discoverCluster, HeadClient } from '@manta/runtime/core/head-client';
import { ProtocolError } from '@manta/runtime/errors/errors';
import { createIdMint, type ClusterId } from '@manta/runtime/ids';
import { nativeMemory } from '@manta/runtime/shared-memory/native-memory';
import { systemClock } from '@manta/runtime/time/clock';
import { isEncryptedBus } from '@manta/runtime/session/address';
import { connectNats } from '@manta/runtime/transport/nats-transport';
import { isLoopback, localAddressTowards } from '@manta/runtime/transport/local-address';
import type { Transport } from '@manta/runtime/transport/transport';
import { JobStartReply } from '@manta/runtime/wire/job-messages';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { subjectsOf } from '@manta/runtime/wire/subjects';
import { LivenessLink } from './liveness-link.ts';
import { printJobLogs } from './job-logs.ts';
import { setDriverSession } from './session.ts';
import type { ClusterInfo, InitOptions } from './types.ts';

const DISCOVER_TIMEOUT_MS = 10_000;
const mintId = createIdMint((bytes) => randomFillSync(bytes));

/** The cluster that a driver is for. */
export interface DriverTarget {
  url: string;
  token: string;
  /** Where it is known already. */
  clusterId?: ClusterId | undefined;
  /** Where this driver may make its socket, when it is known to be on a machine of the cluster. */
  socketDirectory?: string;
}

/** Does ahead of need what takes a while for the first time: for a driver whose cluster is not there yet. */
export function warmUp(): void {
  nativeMemory();
}

/** Makes this process a driver. `onEnd` is given what is to be closed afterwards, last first, also when this fails. */
export async function connectDriver(
  target: DriverTarget,
  options: InitOptions,
  onEnd: (close: () => Promise<void> | void) => void,
): Promise<ClusterInfo> {
  const processId = mintId('process');
  const transport = await connectNats({
    servers: [target.url],
    token: target.token,
    name: `driver ${process.pid}`,
    background: true,
  });
  onEnd(() => transport.close());
  const clusterId =
    target.clusterId ??
    (await discoverCluster(transport, DISCOVER_TIMEOUT_MS, systemClock)).clusterId;
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
  onEnd(() => server.close());
  onEnd(removeAtExit(server));
  Object.assign(core.options.address, server.address);
  onEnd(() => core.close());
  const link = new LivenessLink({
    core,
    startJob: async () => (await startJob()).home?.address,
    onLinked: (agent) => useNode(core, server, agent),
  });
  await link.open(home?.address);
  onEnd(() => link.close());
  const printsLogs = options.logToDriver !== false;
  if (printsLogs) transport.subscribe(subjectsOf(clusterId).jobLogs(jobId), printJobLogs());

  const info: ClusterInfo = {
    clusterId,
    jobId,
    nodeId: home?.nodeId ?? '',
    namespace,
    address: target.url,
    ...(dashboardUrl === undefined ? {} : { dashboardUrl }),
  };
  const { env, setupTimeoutMs } = options.runtimeEnv ?? {};
  setDriverSession({ core, jobId, namespace, info, env, setupTimeoutMs, printsLogs });
  return info;
}

/** What a node on this machine has for a driver. Another one may take its place when it is gone. */
async function useNode(
  core: CoreProcess,
  server: ChannelServer,
  agent: ProcessAddress,
): Promise<void> {
  if (agent.machineId !== machineId() || agent.socketPath === undefined) return;
  await useFolder(core, server, dirname(agent.socketPath));
  await useStore(core, agent);
}

/** Others on this machine come to this driver by a socket in its node's folder. */
async function useFolder(core: CoreProcess, server: ChannelServer, folder: string): Promise<void> {
  const { socketPath } = server.address;
  if (socketPath !== undefined && dirname(socketPath) === folder && existsSync(socketPath)) return;
  try {
    await server.listenIn(folder);
  } catch (error) {
    core.warn('this program has no socket in the folder of its node', error);
  }
  Object.assign(core.options.address, server.address);
}

/** Large values go to the shared memory of the node on this machine; without it they stay in the heap. */
async function useStore(core: CoreProcess, agent: ProcessAddress): Promise<void> {
  // With the node it has, when that one lives.
  if (core.store.isAvailable) await core.store.attach().catch(() => undefined);
  if (core.store.isAvailable) return;
  core.store.useAgent(agent);
  try {
    await core.store.attach();
  } catch (error) {
    core.store.useAgent(undefined);
    core.warn('the object store of this node cannot be used; values stay in the heap', error);
  }
}

function createCore(
  target: DriverTarget,
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
    encrypted: isEncryptedBus(target.url),
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

/** However the process ends, its socket is removed. */
function removeAtExit({ address }: ChannelServer): () => void {
  const onExit = (): void => {
    const { socketPath } = address;
    if (socketPath !== undefined) rmSync(socketPath, { force: true });
  };
  process.once('exit', onExit);
  return () => process.off('exit', onExit);
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
  target: DriverTarget,
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
    encrypted: isEncryptedBus(target.url),
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
