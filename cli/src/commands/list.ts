import type { Command } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { ActorInfo, NodeInfo } from '@manta/runtime/wire/state-messages';
import { resolveConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { withClient } from '../control-client.ts';
import { show, withConnectionOptions, withExamples, type CommonOptions } from '../options.ts';
import { formatAmount, formatBytes, renderTable } from '../output.ts';
import { addListObjects } from './list-objects.ts';
import { addListTasks } from './list-tasks.ts';

interface ListOptions extends CommonOptions {
  state?: string;
  node?: string;
  name?: string;
  class?: string;
  namespace?: string;
}

export function addList(program: Command, context: Context): void {
  const list = program.command('list').description('list what is in the cluster');
  const nodes = list.command('nodes').description('machines, what they offer and what is free');
  withExamples(withConnectionOptions(nodes), [
    'manta list nodes',
    'manta list nodes --json',
  ]).action((options: ListOptions) => listNodes(context, options));
  const actors = list.command('actors').description('actors, where they run and why they ended');
  withConnectionOptions(actors)
    .option('--state <state>', 'pending, alive, restarting or dead')
    .option('--node <id>', 'only those on this node')
    .option('--name <name>', 'only those of this name')
    .option('--class <name>', 'only those of this class')
    .option('--namespace <namespace>', 'only those in this namespace');
  addListTasks(list, context);
  addListObjects(list, context);
  withExamples(actors, [
    'manta list actors --state dead',
    'manta list actors --name counter --json',
  ]).action((options: ListOptions) => listActors(context, options));
}

async function listNodes(context: Context, options: CommonOptions): Promise<void> {
  const connection = await resolveConnection(context, options);
  const nodes = await withClient(connection, (client) => client.nodes());
  show(context, options, nodes, () => (nodes.length === 0 ? 'no nodes' : nodeTable(nodes)));
}

export function nodeTable(nodes: readonly NodeInfo[]): string {
  const rows = nodes.map((node) => [
    node.nodeId,
    node.name,
    node.state,
    usage(node, 'cpus'),
    usage(node, 'memoryBytes'),
    objectStore(node),
    node.gpus.length === 0 ? '-' : `${usedShares(node)}/${node.gpus.length}`,
    Object.entries(node.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  ]);
  return renderTable(
    ['NODE', 'NAME', 'STATE', 'CPUS USED', 'MEMORY USED', 'OBJECTS', 'GPUS USED', 'LABELS'],
    rows,
  );
}

/** Of the node's object store: in memory, beyond it on disk, and whether its memory is really files. */
function objectStore({ objectStore: store }: NodeInfo): string {
  if (store === undefined) return '-';
  const used = `${formatBytes(store.usedBytes)}/${formatBytes(store.limitBytes)}`;
  const disk = store.diskBytes === 0 ? '' : ` + ${formatBytes(store.diskBytes)} on disk`;
  return `${used}${disk}${store.kind === 'files' ? ' (in files)' : ''}`;
}

function usage(node: NodeInfo, resource: string): string {
  const total = node.resources[resource] ?? 0;
  const used = total - (node.available[resource] ?? 0);
  return `${formatAmount(resource, used)}/${formatAmount(resource, total)}`;
}

function usedShares(node: NodeInfo): string {
  const used = node.gpus.reduce((sum, gpu) => sum + (1 - gpu.freeShare), 0);
  return formatAmount('gpus', used);
}

const STATES = ['pending', 'alive', 'restarting', 'dead'] as const;

async function listActors(context: Context, options: ListOptions): Promise<void> {
  const state = STATES.find((entry) => entry === options.state);
  if (options.state !== undefined && state === undefined) {
    throw new InvalidArgumentError(`--state: "${options.state}" is none of ${STATES.join(', ')}`);
  }
  const filter = {
    ...(state && { state }),
    ...(options.node !== undefined && { nodeId: options.node }),
    ...(options.name !== undefined && { name: options.name }),
    ...(options.class !== undefined && { className: options.class }),
    ...(options.namespace !== undefined && { namespace: options.namespace }),
  };
  const connection = await resolveConnection(context, options);
  const actors = await withClient(connection, (client) => client.allActors(filter));
  show(context, options, actors, () => (actors.length === 0 ? 'no actors' : actorTable(actors)));
}

export function actorTable(actors: readonly ActorInfo[]): string {
  const rows = actors.map((actor) => [
    actor.actorId,
    actor.className,
    actor.name ?? '-',
    actor.namespace,
    actor.state,
    actor.nodeId ?? '-',
    String(actor.pid ?? '-'),
    String(actor.restarts),
    actor.deathCause ? `${actor.deathCause.kind}: ${actor.deathCause.message}` : '',
  ]);
  const headings = [
    'ACTOR',
    'CLASS',
    'NAME',
    'NAMESPACE',
    'STATE',
    'NODE',
    'PID',
    'RESTARTS',
    'DEATH',
  ];
  return renderTable(headings, rows);
}
