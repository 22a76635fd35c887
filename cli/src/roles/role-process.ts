/**
 * The process of one role: takes its configuration from the command that started it, serves until TERM, ends in order.
 */
import { startHead } from '@manta/head/main';
import { createLogger, type Logger } from '@manta/runtime/telemetry/logger';
import { hostProgram } from '../host/host-program.ts';
import { startNode } from '@manta/worker/main';
import type { HeadRole, NodeRole, RoleAnswer, RoleConfiguration } from './role-protocol.ts';

interface RunningRole {
  answer: RoleAnswer;
  /** Resolves when the role has ended by itself: the head asked a node to leave. */
  closed?: Promise<void>;
  close(): Promise<void>;
}

async function startHeadRole(
  { role, ...settings }: HeadRole,
  logger: Logger,
): Promise<RunningRole> {
  const head = await startHead({ ...settings, logger });
  const { clusterId, url, metricsUrl } = head;
  return {
    answer: {
      type: 'ready',
      role,
      clusterId,
      url,
      ...(metricsUrl !== undefined && { metricsUrl }),
    },
    close: () => head.close(),
  };
}

async function startNodeRole(
  { role, ...settings }: NodeRole,
  logger: Logger,
): Promise<RunningRole> {
  const node = await startNode({
    ...settings,
    logger,
    ...hostProgram(),
  });
  return {
    answer: { type: 'ready', role, nodeId: node.nodeId },
    closed: node.closed,
    close: () => node.close(),
  };
}

function answer(message: RoleAnswer): void {
  if (process.connected) process.send?.(message);
}

async function serve({ settings, endWithParent }: RoleConfiguration): Promise<void> {
  const logger = createLogger({ name: settings.role });
  const running = await (settings.role === 'head'
    ? startHeadRole(settings, logger)
    : startNodeRole(settings, logger));
  let closing: Promise<void> | undefined;
  const end = (reason: string): void => {
    if (closing) return;
    logger.info({ reason }, 'ending');
    closing = running.close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  void running.closed?.then(() => process.exit(0));
  process.on('SIGTERM', () => end('asked to by a signal'));
  // In the foreground Ctrl-C reaches the whole group; the command then ends its roles one after the other.
  process.on('SIGINT', () => {});
  if (endWithParent) process.on('disconnect', () => end('the command that started it has ended'));
  const { type: _type, ...facts } = running.answer;
  logger.info(facts, 'ready');
  answer(running.answer);
}

function fail(error: unknown): void {
  console.error(error);
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  answer({ type: 'failed', name, message });
  // Leaves the answer time to go out: exit would drop what is still in the channel.
  if (process.connected) process.disconnect();
  process.exitCode = 1;
  setImmediate(() => process.exit(1));
}

process.once('message', (configuration) => {
  serve(configuration as RoleConfiguration).catch(fail);
});
