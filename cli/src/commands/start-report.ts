import { basename } from 'node:path';
import { isLoopback } from '@manta/runtime/transport/local-address';
import type { Session } from '@manta/runtime/session/session-file';
import type { Context } from '../context.ts';
import { urlParts } from '../network.ts';
import { tokenPath } from '../token.ts';
import type { Started, StartOptions } from './start.ts';

/** What was started, for programs. */
export function publicView(
  context: Context,
  { session, nodeId, metricsUrl }: Started,
  options: StartOptions,
): Record<string, unknown> {
  return {
    address: session.address,
    tokenFile: tokenFileOf(context, options),
    clusterId: session.clusterId,
    nodeId,
    metricsUrl,
    pids: session.pids,
  };
}

/** Undefined: the token came in another way. */
function tokenFileOf(context: Context, options: StartOptions): string | undefined {
  if (options.token !== undefined) return undefined;
  return options.tokenFile ?? (options.head === true ? tokenPath(context.home) : undefined);
}

/** And for people, with what to do next. */
export function describe(context: Context, started: Started, options: StartOptions): string {
  const { session, nodeId, metricsUrl } = started;
  if (options.head !== true) {
    return `node ${nodeId} has joined ${session.address}\n\nend it with: manta stop`;
  }
  const host = urlParts(session.address).hostname;
  const tokenFile = tokenFileOf(context, options);
  return [
    `cluster ${session.clusterId} runs at ${session.address}`,
    `token: ${tokenFile === undefined ? 'as you gave it' : `in ${tokenFile}`}`,
    ...(nodeId === undefined ? [] : [`node ${nodeId} runs on this machine`]),
    ...(metricsUrl === undefined ? [] : [`metrics: ${metricsUrl}, with the token as bearer token`]),
    '',
    isLoopback(host)
      ? 'only this machine can join; start with --host 0.0.0.0 to let others in'
      : joinHint(session),
    "in a program on this machine:\n  await init({ address: 'auto' })",
    'look and end:\n  manta status\n  manta stop',
  ].join('\n');
}

function joinHint({ address, tlsCaFile }: Session): string {
  const join = `manta start --address ${address} --token-file token`;
  return tlsCaFile === undefined
    ? `on other machines, with a copy of the token file:\n  ${join}`
    : `on other machines, with copies of the token file and of ${tlsCaFile}:\n  ${join} --tls-ca ${basename(tlsCaFile)}`;
}
