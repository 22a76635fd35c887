import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { localAddressTowards } from '@manta/runtime/transport/local-address';
import { readSession, writeSession, type Session } from '@manta/runtime/session/session-file';
import {
  parseAmount,
  parseBytes,
  parseDevices,
  parseInteger,
  parseLabels,
  parseResources,
} from '../amounts.ts';
import { resolveConnection, type Connection } from '../connection.ts';
import type { Context } from '../context.ts';
import { isAnyHost, reachableHost, urlParts } from '../network.ts';
import { freeNodeDirectory, noteNodeDirectory } from '../node-directory.ts';
import { show, TLS_CA_OPTION, withExamples, withJson, type CommonOptions } from '../options.ts';
import { launchRole } from '../roles/launch-role.ts';
import { isRole } from '../roles/processes.ts';
import type { NodeRole } from '../roles/role-protocol.ts';
import { authorityFile, headTls, type TlsOptions } from '../tls.ts';
import { ensureToken, tokenPath } from '../token.ts';
import { describe, publicView } from './start-report.ts';
import { stopSession } from './stop.ts';

export interface StartOptions extends CommonOptions, TlsOptions {
  head?: boolean;
  node: boolean;
  block?: boolean;
  host?: string;
  port?: string;
  state?: string;
  nats?: string;
  metricsPort?: string;
  name?: string;
  cpus?: string;
  gpus?: string;
  memory?: string;
  objectStoreMemory?: string;
  spill?: string;
  spillFree?: string;
  resources?: string;
  labels?: string;
}
/** What was started, for the session file, for the person and for `--block`. */
export interface Started {
  session: Session;
  nodeId?: string;
  metricsUrl?: string;
  exited: Promise<void>[];
}

const DEFAULT_PORT = 4222;
const MAX_PORT = 65_535;

export function addStart(program: Command, context: Context): void {
  const command = program
    .command('start')
    .description('start a cluster on this machine (--head), or join one as a node (--address)');
  withJson(command)
    .option('--head', 'start a head, with its broker, and a node beside it')
    .option('--no-node', 'with --head: no node on this machine')
    .option('--address <address>', 'join the cluster at nats://host:port or tls://host:port')
    .option('--token <token>', 'join token (better: --token-file or MANTA_TOKEN)')
    .option(
      '--token-file <file>',
      'file that holds the join token; with --head it is made when missing',
    )
    .option(
      '--host <host>',
      'address to listen on; 0.0.0.0 lets other machines in (default with --head: 127.0.0.1)',
    )
    .option('--port <port>', `port of the broker, 0 for a free one (default: ${DEFAULT_PORT})`)
    .option('--state <directory>', 'where the head keeps its state')
    .option('--nats <url>', 'use this NATS server instead of the built-in broker')
    .option(
      '--metrics-port <port>',
      'with --head: serve Prometheus metrics of head and broker on this port; a scrape brings the token as its bearer token',
    )
    .option(
      '--tls-cert <file>',
      'with --head: certificate of broker and metrics page, in PEM; the cluster then speaks TLS only, and others join at tls://…',
    )
    .option('--tls-key <file>', 'with --head: its private key, in PEM')
    .option(...TLS_CA_OPTION)
    .option('--name <name>', 'name of the node (default: the host name)')
    .option('--cpus <amount>', 'CPUs the node offers (default: detected)')
    .option('--gpus <amount>', 'GPUs the node offers (default: detected)')
    .option('--memory <bytes>', 'memory the node offers, for example 8GiB (default: detected)')
    .option(
      '--object-store-memory <bytes>',
      'memory for objects, for example 4GiB (default: 30 % of the machine, as far as /dev/shm has room)',
    )
    .option(
      '--spill <directories>',
      'where objects go that this memory has no room for, separated by commas (default: in the home folder)',
    )
    .option(
      '--spill-free <bytes>',
      'what is left free on their disks, for example 20GiB (default: 5 %, at least 1 GiB)',
    )
    .option('--resources <json>', 'custom resources, for example \'{"licence":2}\'')
    .option('--labels <k=v,…>', 'labels to place by, for example region=eu,disk=ssd')
    .option('--block', 'stay in the foreground until interrupted');
  withExamples(command, [
    'manta start --head',
    'manta start --head --host 0.0.0.0 --port 4222',
    'manta start --address nats://10.0.0.5:4222 --token-file token --labels region=eu',
    'manta start --head --host 10.0.0.5 --tls-cert cert.pem --tls-key key.pem',
    'manta start --address tls://10.0.0.5:4222 --token-file token --tls-ca cert.pem',
  ]);
  command.action((options: StartOptions) => start(context, options));
}

async function start(context: Context, options: StartOptions): Promise<void> {
  if (options.head === true && options.address !== undefined) {
    throw new InvalidArgumentError(
      '--head starts a cluster and --address joins one: give one of them',
    );
  }
  if (options.head !== true && options.address === undefined) {
    throw new InvalidArgumentError(
      'start what? "manta start --head" starts a cluster here, "manta start --address nats://host:port" joins one',
    );
  }
  if (options.head !== true && options.metricsPort !== undefined) {
    throw new InvalidArgumentError('--metrics-port goes with --head: nodes have no metrics page');
  }
  if ((options.tlsCert ?? options.tlsKey) !== undefined) {
    if (options.head !== true)
      throw new InvalidArgumentError('--tls-cert and --tls-key go with --head: nodes need neither');
    if (options.nats !== undefined)
      throw new InvalidArgumentError(
        '--tls-cert is for the built-in broker: with --nats tls://… it is that server that has a certificate',
      );
  }
  const node = nodeAmounts(options);
  const started = await (options.head === true
    ? startHead(context, options, node)
    : joinCluster(context, options, node));
  show(context, options, publicView(context, started, options), () =>
    describe(context, started, options),
  );
  if (options.block === true) await untilEnd(context, started);
}

type NodeAmounts = Omit<NodeRole, 'role' | 'natsUrl' | 'token' | 'directory' | 'tcpHost'>;

function nodeAmounts(options: StartOptions): NodeAmounts {
  const { name, cpus, gpus, memory, objectStoreMemory, spill, spillFree, resources, labels } =
    options;
  return {
    ...(name !== undefined && { name }),
    ...(cpus !== undefined && { cpus: parseAmount('--cpus', cpus) }),
    ...(gpus !== undefined && { gpus: parseDevices('--gpus', gpus) }),
    ...(memory !== undefined && { memoryBytes: parseBytes('--memory', memory) }),
    ...(objectStoreMemory !== undefined && {
      objectStoreBytes: parseBytes('--object-store-memory', objectStoreMemory),
    }),
    ...(spill !== undefined && {
      spillDirectories: spill.split(',').map((directory) => resolve(directory)),
    }),
    ...(spillFree !== undefined && { spillFreeBytesMin: parseBytes('--spill-free', spillFree) }),
    ...(resources !== undefined && { resources: parseResources('--resources', resources) }),
    ...(labels !== undefined && { labels: parseLabels('--labels', labels) }),
  };
}

async function startHead(
  context: Context,
  options: StartOptions,
  node: NodeAmounts,
): Promise<Started> {
  const survivors = await survivingSession(context);
  if (survivors !== undefined && Object.keys(node).length > 0) {
    throw new InvalidArgumentError(
      'nodes of the former head still run here, and a new head takes them over as they are: ' +
        'leave out the options of the node, or use "manta stop" first',
    );
  }
  const token = await headToken(context, options, survivors);
  const { host, port } = listenAt(options, survivors);
  const { tls, tlsCaFile } = await headTls(options, reachableHost(host));
  const scheme = tls === undefined ? 'nats' : 'tls';
  if (survivors !== undefined && options.nats === undefined) checkScheme(survivors, scheme);
  const head = await launchRole(
    'head',
    {
      settings: {
        role: 'head',
        host,
        port,
        token,
        stateDirectory: options.state ?? join(context.home, 'state'),
        ...(tls && { tls }),
        ...(options.nats !== undefined && { natsUrl: options.nats }),
        ...(options.metricsPort !== undefined && {
          metricsPort: parseInteger('--metrics-port', options.metricsPort, MAX_PORT),
        }),
      },
      endWithParent: options.block === true,
      ...(tlsCaFile !== undefined && { tlsCaFile }),
    },
    join(context.home, 'logs', 'head.log'),
  );
  const { port: brokerPort } = urlParts(head.answer.url);
  const url = options.nats ?? `${scheme}://${hostInUrl(reachableHost(host))}:${brokerPort}`;
  const session: Session = {
    address: url,
    token,
    ...(tlsCaFile !== undefined && { tlsCaFile }),
    clusterId: head.answer.clusterId,
    pids: { head: head.pid, nodes: survivors?.pids.nodes ?? [] },
    startedAt: context.clock.now(),
  };
  await writeSession(session, context.home);
  const { metricsUrl } = head.answer;
  const started: Started = {
    session,
    exited: [head.exited],
    ...(metricsUrl !== undefined && { metricsUrl }),
  };
  if (!options.node || session.pids.nodes.length > 0) return started;
  try {
    const tcpHost = reachableHost(host);
    await addNode(context, started, { url, token }, { ...node, tcpHost }, options);
  } catch (error) {
    await stopSession(context, session);
    throw error;
  }
  return started;
}

function checkScheme({ address }: Session, scheme: 'nats' | 'tls'): void {
  if (address.startsWith(`${scheme}://`)) return;
  const todo = scheme === 'tls' ? 'leave out --tls-cert' : 'give --tls-cert and --tls-key again';
  throw new InvalidArgumentError(
    `nodes of the former head look for it at ${address}: ${todo}, or use "manta stop" first`,
  );
}

async function headToken(
  context: Context,
  options: StartOptions,
  survivors: Session | undefined,
): Promise<string> {
  if (options.token !== undefined) return options.token;
  if (survivors && options.tokenFile === undefined) return survivors.token;
  return ensureToken(options.tokenFile ?? tokenPath(context.home));
}

/** Nodes that outlived their head look for it at the address that they know. */
function listenAt(
  options: StartOptions,
  survivors: Session | undefined,
): { host: string; port: number } {
  const known = survivors && urlParts(survivors.address);
  return {
    host: options.host ?? known?.hostname ?? '127.0.0.1',
    port:
      options.port === undefined
        ? Number(known?.port ?? DEFAULT_PORT)
        : parseInteger('--port', options.port, MAX_PORT),
  };
}

async function joinCluster(
  context: Context,
  options: StartOptions,
  node: NodeAmounts,
): Promise<Started> {
  const connection = await resolveConnection(context, options);
  const tlsCaFile = options.tlsCa === undefined ? undefined : await authorityFile(options.tlsCa);
  const session = await sessionToJoin(context, connection, tlsCaFile);
  const tcpHost =
    options.host !== undefined && !isAnyHost(options.host)
      ? options.host
      : await localAddressTowards(connection.url);
  const started: Started = { session, exited: [] };
  const settings = { ...node, ...(tcpHost !== undefined && { tcpHost }) };
  await addNode(context, started, connection, settings, options);
  return started;
}

/** Starts a node and notes it in the session, so that `manta stop` finds it. */
async function addNode(
  context: Context,
  started: Started,
  connection: Connection,
  node: NodeAmounts & { tcpHost?: string },
  options: StartOptions,
): Promise<void> {
  const { number, directory } = await freeNodeDirectory(context.home);
  const launched = await launchRole(
    'node',
    {
      settings: {
        role: 'node',
        natsUrl: connection.url,
        token: connection.token,
        directory,
        ...node,
      },
      endWithParent: options.block === true,
      ...(started.session.tlsCaFile !== undefined && { tlsCaFile: started.session.tlsCaFile }),
    },
    join(context.home, 'logs', `node-${number}.log`),
  );
  await noteNodeDirectory(directory, launched.pid);
  started.session.pids.nodes.push(launched.pid);
  started.nodeId = launched.answer.nodeId;
  started.exited.push(launched.exited);
  await writeSession(started.session, context.home);
}

/** The session with those of its processes that still run. */
async function runningSession(context: Context): Promise<Session | undefined> {
  const session = await readSession(context.home);
  if (!session) return undefined;
  const { head, nodes } = session.pids;
  const running = await Promise.all(nodes.map((pid) => isRole(pid)));
  const pids: Session['pids'] = { nodes: nodes.filter((_, index) => running[index]) };
  if (head !== undefined && (await isRole(head))) pids.head = head;
  return pids.head === undefined && pids.nodes.length === 0 ? undefined : { ...session, pids };
}

/** Nodes of this machine's cluster whose head has ended; a new head takes them over. */
async function survivingSession(context: Context): Promise<Session | undefined> {
  const session = await runningSession(context);
  const isOwn = (await readSession(context.home))?.pids.head !== undefined;
  if (!session || (session.pids.head === undefined && isOwn)) return session;
  throw new InvalidArgumentError(
    `this machine already runs ${session.address} (processes ${pidsOf(session).join(', ')}): ` +
      'use "manta stop" first, or set MANTA_HOME to keep two apart',
  );
}

const pidsOf = ({ pids }: Session): number[] => [
  ...(pids.head === undefined ? [] : [pids.head]),
  ...pids.nodes,
];

async function sessionToJoin(
  context: Context,
  connection: Connection,
  tlsCaFile: string | undefined,
): Promise<Session> {
  const authority = tlsCaFile === undefined ? {} : { tlsCaFile };
  const fresh = (): Session => ({
    address: connection.url,
    token: connection.token,
    ...authority,
    pids: { nodes: [] },
    startedAt: context.clock.now(),
  });
  const session = await runningSession(context);
  if (!session) return fresh();
  if (session.address === connection.url) return { ...session, ...authority };
  throw new InvalidArgumentError(
    `this machine already belongs to ${session.address}: use "manta stop" first, ` +
      'or set MANTA_HOME to keep two apart',
  );
}

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** The foreground: until an interrupt, or until one of the processes ends by itself. */
async function untilEnd(context: Context, started: Started): Promise<void> {
  const interrupted = new Promise<void>((resolve) => {
    if (context.interrupted.aborted) resolve();
    else context.interrupted.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([interrupted, ...started.exited]);
  await stopSession(context, started.session);
  if (!context.interrupted.aborted)
    throw new Error('a process of the cluster ended by itself; see its output above');
}
