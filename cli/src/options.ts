import { TLS_CA_VARIABLE } from '@manta/runtime/transport/bus-tls';
import type { Command } from 'commander';
import type { ConnectionOptions } from './connection.ts';
import type { Context } from './context.ts';
import { formatValue } from './output.ts';
import { authorityFile } from './tls.ts';

export interface CommonOptions extends ConnectionOptions {
  json?: boolean;
}

export const TLS_CA_OPTION = [
  '--tls-ca <file>',
  'authority that signed the certificate at tls://… (default: MANTA_TLS_CA, else those that Node.js trusts)',
] as const;

/** Options of every command that talks to a cluster. */
export function withConnectionOptions(command: Command): Command {
  return withJson(command)
    .option(
      '--address <address>',
      "cluster to ask: nats://host:port or tls://host:port (default: MANTA_ADDRESS, else this machine's session)",
    )
    .option(
      '--token <token>',
      'join token (better: --token-file or MANTA_TOKEN, which other users cannot see)',
    )
    .option('--token-file <file>', 'file that holds the join token')
    .option(...TLS_CA_OPTION)
    .hook('preAction', (_, asked) => nameAuthority(asked.opts<CommonOptions>().tlsCa));
}

/** For everything in this process that opens a connection, the SDK among it. */
async function nameAuthority(file: string | undefined): Promise<void> {
  if (file !== undefined) process.env[TLS_CA_VARIABLE] = await authorityFile(file);
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON, for programs');
}

export function withExamples(command: Command, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}`).join('\n');
  return command.addHelpText('after', `\nExamples:\n${lines}`);
}

/** Prints data for programs, or text for people. */
export function show(
  context: Context,
  options: CommonOptions,
  data: unknown,
  text: () => string,
): void {
  context.out(options.json ? formatValue(data, true) : text());
}
