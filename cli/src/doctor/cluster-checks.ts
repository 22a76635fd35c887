import { once } from 'node:events';
import { createServer } from 'node:net';
import { MantaError } from '@manta/runtime/errors/errors';
import { readSession } from '@manta/runtime/session/session-file';
import { parseInteger } from '../amounts.ts';
import { resolveConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { withClient } from '../control-client.ts';
import { reportOf } from '../exit-codes.ts';
import { isRole } from '../roles/processes.ts';
import type { Check, DoctorOptions, Finding } from './finding.ts';

const MAX_PORT = 65_535;

export const checkPort: Check = async (context, options) => {
  const what = 'port';
  const port = parseInteger('--port', options.port, MAX_PORT);
  const error = await listenError(port);
  if (error === undefined) return { what, level: 'ok', found: `${port} is free for a head` };
  const session = await readSession(context.home).catch(() => undefined);
  if (session?.address.endsWith(`:${port}`)) {
    return { what, level: 'ok', found: `${port} is in use by this machine's own cluster` };
  }
  return {
    what,
    level: 'note',
    found: `${port} cannot be used: ${error}`,
    todo: 'start the head with another one: manta start --head --port 0',
  };
};

async function listenError(port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

export const checkCluster: Check = async (context, options) => {
  const what = 'cluster';
  const asked = options.address ?? context.environment['MANTA_ADDRESS'];
  try {
    const session = await readSession(context.home);
    if (session === undefined && asked === undefined) {
      return {
        what,
        level: 'note',
        found: 'none was started here',
        todo: 'start one: manta start --head',
      };
    }
    return await describeCluster(context, options, what);
  } catch (error) {
    const { message, remedy } = reportOf(error);
    const todo = (await deadHead(context))
      ? 'its head has ended: "manta stop", then "manta start --head"'
      : remedy;
    return { what, level: 'problem', found: message, ...(todo !== undefined && { todo }) };
  }
};

async function describeCluster(
  context: Context,
  options: DoctorOptions,
  what: string,
): Promise<Finding> {
  const connection = await resolveConnection(context, options);
  return withClient(connection, async (client) => {
    const nodes = await client.nodes();
    const alive = nodes.filter((node) => node.state === 'alive').length;
    const found = `${client.clusterId} at ${connection.url} answers; ${alive} of ${nodes.length} nodes are alive`;
    if (alive > 0) return { what, level: 'ok', found };
    const todo = `add a node: manta start --address ${connection.url} --token-file FILE`;
    return { what, level: 'note', found, todo };
  });
}

async function deadHead(context: Context): Promise<boolean> {
  const session = await readSession(context.home).catch(() => undefined);
  return session?.pids.head !== undefined && !(await isRole(session.pids.head));
}

/** More apart than this, and times in logs and tables of two machines contradict each other. */
const SKEW_NOTED_MS = 1_000;

export const checkClock: Check = async (context, options) => {
  const what = 'clock';
  try {
    const connection = await resolveConnection(context, options);
    const skewMs = await withClient(connection, (client) => client.clockSkewMs(context.clock));
    if (skewMs === undefined)
      return { what, level: 'note', found: 'not compared: the head does not tell its time' };
    const found = `${Math.abs(Math.round(skewMs))} ms from the head's`;
    if (Math.abs(skewMs) <= SKEW_NOTED_MS) return { what, level: 'ok', found };
    return {
      what,
      level: 'note',
      found,
      todo: 'run a time service (chrony, systemd-timesyncd) on both machines',
    };
  } catch (error) {
    if (!MantaError.is(error)) throw error;
    return { what, level: 'note', found: 'not compared: no cluster answers' };
  }
};
