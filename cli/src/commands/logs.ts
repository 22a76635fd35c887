import type { Command } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { NodeInfo } from '@manta/runtime/wire/state-messages';
import { parseInteger } from '../amounts.ts';
import { resolveConnection } from '../connection.ts';
import { pause, type Context } from '../context.ts';
import { withClient, type ControlClient } from '../control-client.ts';
import { actorByIdOrName } from '../find-actor.ts';
import { show, withConnectionOptions, withExamples, type CommonOptions } from '../options.ts';
import { formatBytes, renderTable } from '../output.ts';

interface LogsOptions extends CommonOptions {
  file?: string;
  follow?: boolean;
  tail: string;
}
/** Where to read: one file, or what one actor wrote, of one node. */
interface Source {
  nodeId: string;
  actorId?: string;
  file?: string;
}

const FOLLOW_INTERVAL_MS = 300;

export function addLogs(program: Command, context: Context): void {
  const command = program
    .command('logs')
    .description('what an actor or a node wrote; without an id, the log files there are')
    .argument('[id]', 'id or name of an actor or a node');
  withConnectionOptions(command)
    .option('--file <file>', 'a file of the node, as listed by "manta logs <node>"')
    .option('-f, --follow', 'go on as more is written')
    .option('--tail <lines>', 'how many lines from the end', '100');
  withExamples(command, [
    'manta logs',
    'manta logs counter -f',
    'manta logs n_… --file agent.log --tail 20',
  ]);
  command.action(async (id: string | undefined, options: LogsOptions) => {
    const tailLines = parseInteger('--tail', options.tail);
    const connection = await resolveConnection(context, options);
    await withClient(connection, async (client) => {
      const source = id === undefined ? undefined : await findSource(client, id, options.file);
      if (source && (source.actorId !== undefined || source.file !== undefined)) {
        return printLog(context, client, source, tailLines, options);
      }
      if (options.follow) {
        throw new InvalidArgumentError(
          '-f needs an actor, or a node with --file: see "manta logs" for the files',
        );
      }
      await listFiles(context, client, source?.nodeId, options);
    });
  });
}

async function findSource(
  client: ControlClient,
  id: string,
  file: string | undefined,
): Promise<Source> {
  const node = (await client.nodes()).find((entry) => entry.nodeId === id || entry.name === id);
  if (node) return { nodeId: node.nodeId, ...(file !== undefined && { file }) };
  const actor = await actorByIdOrName(client, id);
  const nodeId = actor.nodeId ?? actor.deathCause?.nodeId;
  if (nodeId === undefined) {
    throw new InvalidArgumentError(
      `${id} is ${actor.state} and was never on a node, so it has no log: see "manta why ${id}"`,
    );
  }
  return { nodeId, actorId: actor.actorId };
}

async function listFiles(
  context: Context,
  client: ControlClient,
  nodeId: string | undefined,
  options: CommonOptions,
): Promise<void> {
  const wanted = (node: NodeInfo): boolean =>
    nodeId === undefined ? node.state !== 'dead' : node.nodeId === nodeId;
  const nodes = (await client.nodes()).filter(wanted);
  const lists = await Promise.all(
    nodes.map(async (node) => {
      const { files } = await client.logs(node.nodeId, {}).catch((error: unknown) => {
        if (nodeId !== undefined) throw error;
        context.err(`node ${node.name} (${node.nodeId}) does not answer: ${String(error)}`);
        return { files: [] };
      });
      return files.map((entry) => ({ nodeId: node.nodeId, name: node.name, ...entry }));
    }),
  );
  const files = lists.flat();
  show(context, options, files, () =>
    renderTable(
      ['NODE', 'NAME', 'FILE', 'SIZE'],
      files.map((entry) => [entry.nodeId, entry.name, entry.file, formatBytes(entry.bytes)]),
    ),
  );
}

async function printLog(
  context: Context,
  client: ControlClient,
  { nodeId, actorId, file }: Source,
  tailLines: number,
  options: LogsOptions,
): Promise<void> {
  const files = file === undefined ? await filesOfActor(client, nodeId, actorId) : [file];
  const offsets = new Map<string, number>();
  const read = async (name: string): Promise<void> => {
    const offset = offsets.get(name);
    const where = offset === undefined ? { tailLines } : { offset };
    const reply = await client.logs(nodeId, { file: name, ...where });
    offsets.set(name, reply.nextOffset ?? 0);
    const text = (reply.text ?? '').replace(/\n$/, '');
    if (text === '') return;
    context.out(options.json ? JSON.stringify({ nodeId, actorId, file: name, text }) : text);
  };
  for (const name of files) await read(name);
  while (options.follow && !context.interrupted.aborted) {
    await pause(context, FOLLOW_INTERVAL_MS);
    for (const name of files) await read(name);
  }
}

/** Standard output and standard error of the process that the actor runs in are two files. */
async function filesOfActor(
  client: ControlClient,
  nodeId: string,
  actorId: string | undefined,
): Promise<string[]> {
  const { files } = await client.logs(nodeId, {
    ...(actorId !== undefined && { actorId }),
    tailLines: 0,
  });
  return files.map((entry) => entry.file);
}
