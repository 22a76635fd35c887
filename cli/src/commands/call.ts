import type { Command } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { parseArgument, parseDuration } from '../amounts.ts';
import { resolveConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { withClient } from '../control-client.ts';
import { actorByName } from '../find-actor.ts';
import { withConnectionOptions, withExamples, type CommonOptions } from '../options.ts';
import { formatValue } from '../output.ts';

interface CallCommandOptions extends CommonOptions {
  namespace?: string;
  timeout: string;
}
/** What a method of a handle is, seen without its class. */
interface AnyMethod {
  (...args: unknown[]): PromiseLike<unknown> | AsyncIterable<unknown>;
  options(options: { timeoutMs?: number; signal?: AbortSignal }): AnyMethod;
}

export function addCall(program: Command, context: Context): void {
  const command = program
    .command('call')
    .description(
      'call a method of a named actor and print what it returns; a stream prints item by item',
    )
    .argument('<name>', 'name of the actor')
    .argument('<method>', 'method to call')
    .argument('[args...]', 'arguments: JSON, or text where it is no JSON');
  withConnectionOptions(command)
    .option(
      '--namespace <namespace>',
      'namespace of the actor (default: the only one that has the name)',
    )
    .option(
      '--timeout <time>',
      'give up after this time (exit code 124); 0 waits without end',
      '60s',
    );
  withExamples(command, [
    'manta call counter add 5',
    'manta call search find \'{"text":"ships"}\' --json',
    'manta call chat stream "hello" --timeout 30s',
  ]);
  command.action((name: string, method: string, args: string[], options: CallCommandOptions) =>
    call(context, { name, method, args: args.map(parseArgument) }, options),
  );
}

async function call(
  context: Context,
  target: { name: string; method: string; args: unknown[] },
  options: CallCommandOptions,
): Promise<void> {
  const timeoutMs = parseDuration('--timeout', options.timeout);
  const connection = await resolveConnection(context, options);
  const actor = await withClient(connection, (client) =>
    actorByName(client, target.name, options.namespace),
  );
  // The only command that needs the SDK; the others start faster without it.
  const { getActor, init, shutdown } = await import('@manta/sdk');
  await init({
    address: connection.url,
    token: connection.token,
    namespace: actor.namespace,
    logToDriver: false,
  });
  try {
    const handle = await getActor<Record<string, never>>(target.name, {
      namespace: actor.namespace,
    });
    const method = methodOf(handle, target.method, actor.className).options({
      signal: context.interrupted,
      ...(timeoutMs > 0 && { timeoutMs }),
    });
    await printResult(context, method(...target.args), options.json ?? false);
  } finally {
    await shutdown();
  }
}

function methodOf(handle: object, name: string, className: string): AnyMethod {
  const method = (handle as Record<string, AnyMethod | undefined>)[name];
  if (typeof method === 'function') return method;
  const known = Object.keys(handle).sort().join(', ');
  throw new InvalidArgumentError(`${className} has no method "${name}"; it has: ${known}`);
}

async function printResult(
  context: Context,
  result: PromiseLike<unknown> | AsyncIterable<unknown>,
  json: boolean,
): Promise<void> {
  // A ref can be iterated as well, but only a stream cannot be awaited.
  if ('then' in result) {
    const value = await result;
    if (json || value !== undefined) context.out(formatValue(value, json));
    return;
  }
  for await (const item of result) context.out(formatValue(item, json));
}
