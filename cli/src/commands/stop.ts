import type { Command } from 'commander';
import { readSession, removeSession, type Session } from '@manta/runtime/session/session-file';
import { parseDuration } from '../amounts.ts';
import type { Context } from '../context.ts';
import { show, withExamples, withJson, type CommonOptions } from '../options.ts';
import { stopRole, type StopResult } from '../roles/processes.ts';

/** Longer than the default gracefulShutdownMs of actors (30 s), which a node gives them before it ends. */
const DEFAULT_GRACE_MS = 35_000;

interface Stopped {
  role: 'head' | 'node';
  pid: number;
  result: StopResult;
}

export function addStop(program: Command, context: Context): void {
  const command = program
    .command('stop')
    .description('end what "manta start" started on this machine');
  withJson(command).option(
    '--grace <time>',
    'time to end in order before processes are killed',
    '35s',
  );
  withExamples(command, ['manta stop', 'manta stop --grace 2s']);
  command.action(async (options: CommonOptions & { grace: string }) => {
    const graceMs = parseDuration('--grace', options.grace);
    const session = await readSession(context.home);
    const stopped = session ? await stopSession(context, session, graceMs) : [];
    show(context, options, stopped, () => describe(stopped));
  });
}

/** Nodes first, so that they can still tell the head; then the head. Removes the session file. */
export async function stopSession(
  context: Context,
  session: Session,
  graceMs: number = DEFAULT_GRACE_MS,
): Promise<Stopped[]> {
  const stop = async (role: Stopped['role'], pid: number): Promise<Stopped> => ({
    role,
    pid,
    result: await stopRole(context, pid, graceMs),
  });
  const stopped = await Promise.all(session.pids.nodes.map((pid) => stop('node', pid)));
  if (session.pids.head !== undefined) stopped.push(await stop('head', session.pids.head));
  await removeSession(context.home);
  return stopped;
}

const RESULT_TEXT: Record<StopResult, string> = {
  stopped: 'ended',
  killed: 'did not end in time and was killed',
  'not-running': 'was not running any more',
};

function describe(stopped: readonly Stopped[]): string {
  if (stopped.length === 0) return 'nothing was running';
  return stopped.map(({ role, pid, result }) => `${role} ${pid} ${RESULT_TEXT[result]}`).join('\n');
}
