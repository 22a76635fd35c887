import type { Command } from 'commander';
import { resolveConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { withClient } from '../control-client.ts';
import { show, withConnectionOptions, withExamples } from '../options.ts';
import { findObjects, readQuery, withObjectOptions, type ObjectOptions } from './object-query.ts';
import { byId, gaps, objectTable } from './object-tables.ts';

export function addListObjects(list: Command, context: Context): void {
  const objects = list
    .command('objects')
    .description('objects: where they are, who owns them, who holds them and how');
  withObjectOptions(withConnectionOptions(objects));
  withExamples(objects, [
    'manta list objects',
    'manta list objects --state pending --limit 100',
    'manta list objects --owner p_3k9qhd0m2v7xw4tn --json',
  ]).action((options: ObjectOptions) => listObjects(context, options));
}

async function listObjects(context: Context, options: ObjectOptions): Promise<void> {
  const query = readQuery(options);
  const connection = await resolveConnection(context, options);
  const found = await withClient(connection, (client) => findObjects(client, query));
  const { shown, matching, processes } = found;
  show(context, options, shown, () => {
    const more = matching.length - shown.length;
    const lines = [
      shown.length === 0 ? 'no objects' : objectTable(shown, byId(processes)),
      ...(more > 0 ? [`and ${more} more: see --limit`] : []),
      ...gaps(found),
    ];
    return lines.join('\n');
  });
}
