import type { Command } from 'commander';
import type { JobInfo, NodeInfo, WaitingDemand } from '@manta/runtime/wire/state-messages';
import { resolveConnection } from '../connection.ts';
import { pause, type Context } from '../context.ts';
import { withClient, type ControlClient } from '../control-client.ts';
import { show, withConnectionOptions, withExamples, type CommonOptions } from '../options.ts';
import { formatAmount, renderTable } from '../output.ts';
import { nodeTable } from './list.ts';
import { jobTable, waitingTable } from './task-tables.ts';

const WATCH_INTERVAL_MS = 1_000;
const CLEAR_SCREEN = '\u001b[2J\u001b[H';

interface Status {
  clusterId: string;
  address: string;
  nodes: NodeInfo[];
  resources: { total: Record<string, number>; available: Record<string, number> };
  actors: Record<string, number>;
  /** `waiting` has no place yet; `blocked` has one, and its task waits for others. */
  taskWorkers: { alive: number; blocked: number; waiting: number };
  waiting: WaitingDemand[];
  jobs: JobInfo[];
}

export function addStatus(program: Command, context: Context): void {
  const command = program
    .command('status')
    .description('nodes, resources, actors, jobs and their tasks at a glance');
  withConnectionOptions(command).option('--watch', 'draw again every second until interrupted');
  withExamples(command, [
    'manta status',
    'manta status --watch',
    'manta status --address nats://10.0.0.5:4222 --json',
  ]);
  command.action(async (options: CommonOptions & { watch?: boolean }) => {
    const connection = await resolveConnection(context, options);
    await withClient(connection, async (client) => {
      do {
        const status = await readStatus(client, connection.url);
        if (options.watch && !options.json && context.columns !== undefined)
          context.out(CLEAR_SCREEN);
        show(context, options, status, () => drawStatus(status, context.clock.now()));
        if (options.watch) await pause(context, WATCH_INTERVAL_MS);
      } while (options.watch && !context.interrupted.aborted);
    });
  });
}

async function readStatus(client: ControlClient, address: string): Promise<Status> {
  const [nodes, { waiting = [], ...resources }, jobs, tasks] = await Promise.all([
    client.nodes(),
    client.resources(),
    client.jobs(),
    client.tasks(),
  ]);
  const actors: Record<string, number> = { pending: 0, alive: 0, restarting: 0, dead: 0 };
  for await (const actor of client.actors()) actors[actor.state] = (actors[actor.state] ?? 0) + 1;
  const taskWorkers = tasks.workerCounts;
  const { clusterId } = client;
  return { clusterId, address, nodes, resources, actors, taskWorkers, waiting, jobs };
}

function drawStatus(status: Status, nowMs: number): string {
  const { total, available } = status.resources;
  const resources = Object.keys(total).map((name) => [
    name,
    formatAmount(name, (total[name] ?? 0) - (available[name] ?? 0)),
    formatAmount(name, total[name] ?? 0),
  ]);
  const running = status.jobs.filter((job) => job.state === 'running');
  const parts = [
    `cluster ${status.clusterId} at ${status.address}`,
    status.nodes.length === 0
      ? 'no nodes yet: add one with "manta start --address"'
      : nodeTable(status.nodes),
    renderTable(['RESOURCE', 'USED', 'TOTAL'], resources),
    `actors: ${Object.entries(status.actors)
      .map(([state, count]) => `${count} ${state}`)
      .join(', ')}`,
  ];
  const { alive, blocked, waiting } = status.taskWorkers;
  if (alive + waiting > 0)
    parts.push(
      `task workers: ${alive} alive (${blocked} of them wait for tasks), ${waiting} not placed yet`,
    );
  if (status.waiting.length > 0) parts.push(waitingTable(status.waiting, nowMs));
  parts.push(running.length === 0 ? 'no running jobs' : jobTable(running, nowMs));
  return parts.join('\n\n');
}
