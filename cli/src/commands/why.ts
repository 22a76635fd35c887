import type { Command } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { parseId } from '@manta/runtime/ids';
import type { Explanation } from '@manta/runtime/wire/actor-messages';
import { resolveConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { withClient, type ControlClient } from '../control-client.ts';
import { actorByIdOrName } from '../find-actor.ts';
import { show, withConnectionOptions, withExamples, type CommonOptions } from '../options.ts';
import { formatAge, renderTable } from '../output.ts';
import { reasonOfObject, reasonOfTask, type ObjectReason } from './why-objects.ts';

type Reason = ObjectReason | (Omit<Explanation, 'since'> & { since?: number });

export function addWhy(program: Command, context: Context): void {
  const command = program
    .command('why')
    .description(
      'why an actor, object or task is not there yet, what keeps an object, why a node or job is in its state',
    )
    .argument('<id>', 'id of an actor, object, task, node or job, or the name of an actor or node');
  withExamples(withConnectionOptions(command), [
    'manta why a_3k9qhd0m2v7xw4tn',
    'manta why counter',
    'manta why o_3k9qhd0m2v7xw4tn',
    'manta why t_3k9qhd0m2v7xw4tn_1',
    'manta why n_…',
  ]);
  command.action(async (id: string, options: CommonOptions) => {
    const connection = await resolveConnection(context, options);
    const reason = await withClient(connection, (client) => reasonOf(client, id));
    show(context, options, reason, () => drawReason(id, reason, context.clock.now()));
  });
}

async function reasonOf(client: ControlClient, id: string): Promise<Reason> {
  if (parseId('actor', id) !== undefined) return client.explain({ actorId: id });
  const objectId = parseId('object', id);
  if (objectId !== undefined) return reasonOfObject(client, objectId);
  if (id.startsWith('t_')) return reasonOfTask(client, id);
  const nodes = await client.nodes();
  const node = nodes.find((entry) => entry.nodeId === id || entry.name === id);
  if (node) return { state: node.state, reason: node.reason ?? `the node is ${node.state}` };
  if (parseId('node', id) !== undefined) {
    throw new InvalidArgumentError(`the cluster has no node ${id}: see "manta list nodes"`);
  }
  if (parseId('job', id) !== undefined) return reasonOfJob(client, id);
  const actor = await actorByIdOrName(client, id);
  return client.explain({ actorId: actor.actorId });
}

async function reasonOfJob(client: ControlClient, id: string): Promise<Reason> {
  const job = (await client.jobs()).find((entry) => entry.jobId === id);
  if (!job) throw new InvalidArgumentError(`the cluster has no job ${id}: see "manta status"`);
  const { tasks } = job;
  const place = `${job.entrypoint}, process ${job.pid} on ${job.hostname}`;
  const progress =
    tasks === undefined
      ? ''
      : `; its tasks: ${tasks.queued} queued, ${tasks.running} running, ${tasks.finished} finished, ${tasks.failed} failed`;
  return { state: job.state, since: job.endedAt ?? job.startedAt, reason: place + progress };
}

function drawReason(id: string, reason: Reason, nowMs: number): string {
  const since = reason.since === undefined ? '' : ` for ${formatAge(nowMs - reason.since)}`;
  const head = `${id} is ${reason.state}${since}: ${reason.reason}`;
  const perNode = Object.entries(reason.perNode ?? {});
  return perNode.length === 0
    ? head
    : `${head}\n\n${renderTable(['NODE', 'WHY NOT THERE'], perNode)}`;
}
