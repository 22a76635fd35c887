import type { Command } from 'commander';
import { groupObjects, GROUP_KEYS, type ObjectGroup } from '@manta/runtime/state/object-selection';
import { resolveConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { withClient } from '../control-client.ts';
import { show, withConnectionOptions, withExamples } from '../options.ts';
import { formatBytes } from '../output.ts';
import {
  findObjects,
  oneOf,
  readQuery,
  withObjectOptions,
  type FoundObjects,
  type ObjectOptions,
} from './object-query.ts';
import { byId, gaps, groupTable, objectTable, storeTable } from './object-tables.ts';

interface MemoryOptions extends ObjectOptions {
  groupBy?: string;
}

export function addMemory(program: Command, context: Context): void {
  const command = program
    .command('memory')
    .description(
      'what fills the object stores: per node, then the objects, who owns and who holds them',
    );
  withObjectOptions(withConnectionOptions(command)).option(
    '--group-by <key>',
    `${GROUP_KEYS.join(', ')}: sums in place of single objects`,
  );
  withExamples(command, [
    'manta memory',
    'manta memory --group-by owner',
    'manta memory --node first --where spilled --limit 100',
    'manta memory --holder a_3k9qhd0m2v7xw4tn --json',
  ]);
  command.action((options: MemoryOptions) => showMemory(context, options));
}

async function showMemory(context: Context, options: MemoryOptions): Promise<void> {
  const groupBy = oneOf('--group-by', options.groupBy, GROUP_KEYS);
  const query = readQuery(options);
  const connection = await resolveConnection(context, options);
  const found = await withClient(connection, (client) => findObjects(client, query));
  const groups = groupBy && groupObjects({ objects: found.matching }, groupBy);
  const processes = byId(found.processes);
  show(context, options, jsonOf(found, groups), () => {
    const table =
      groups === undefined
        ? objectTable(found.shown, processes)
        : groupTable(groups, groupBy as never, { processes, nodes: found.nodes });
    const parts = [storeTable(found.nodes)];
    parts.push(found.matching.length === 0 ? 'no objects' : table);
    if (groups === undefined && found.matching.length > found.shown.length)
      parts.push(moreText(found));
    const missing = gaps(found);
    if (missing.length > 0) parts.push(missing.join('\n'));
    return parts.join('\n\n');
  });
}

/** For programs: the same keys as `listObjects()` of the SDK has. */
function jsonOf(found: FoundObjects, groups: ObjectGroup[] | undefined): object {
  const { nodes, shown, matching, leftOut, processes } = found;
  return {
    nodes,
    ...(groups === undefined ? { objects: shown } : { groups }),
    matching: matching.length,
    leftOut,
    processes,
  };
}

function moreText({ matching, shown }: FoundObjects): string {
  const bytes = matching.slice(shown.length).reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0);
  return `and ${matching.length - shown.length} more objects with ${formatBytes(bytes)}: see --limit`;
}
