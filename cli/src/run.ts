import { Command, CommanderError } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { addCall } from './commands/call.ts';
import { addDoctor } from './commands/doctor.ts';
import { addList } from './commands/list.ts';
import { addLogs } from './commands/logs.ts';
import { addMemory } from './commands/memory.ts';
import { addStart } from './commands/start.ts';
import { addStatus } from './commands/status.ts';
import { addStop } from './commands/stop.ts';
import { addWhy } from './commands/why.ts';
import type { Context } from './context.ts';
import { EXIT, exitCodeOf, reportOf } from './exit-codes.ts';
import { VERSION } from './version.ts';

const EXIT_CODE_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 cluster not reachable, 4 token refused, 124 timed out.

Environment: MANTA_HOME (default ~/.manta), MANTA_ADDRESS, MANTA_TOKEN, MANTA_TLS_CA.`;

const COMMANDS = [
  addStart,
  addStop,
  addStatus,
  addList,
  addMemory,
  addCall,
  addWhy,
  addLogs,
  addDoctor,
];

export function createProgram(context: Context, isJson = false): Command {
  const program = new Command('manta')
    .description('Start, look into and end a Manta cluster.')
    .version(VERSION)
    .addHelpText('after', EXIT_CODE_HELP)
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for what there is)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out(text.replace(/\n$/, '')),
      // As JSON, errors are told by who runs the program.
      writeErr: (text) => (isJson ? undefined : context.err(text.replace(/\n$/, ''))),
      ...(context.columns !== undefined && { getOutHelpWidth: () => context.columns ?? 100 }),
    });
  for (const add of COMMANDS) add(program, context);
  return program;
}

/** Runs one command line (without `node` and the script) and gives its exit code; never rejects. */
export async function run(args: readonly string[], context: Context): Promise<number> {
  const isJson = args.includes('--json');
  try {
    await createProgram(context, isJson).parseAsync([...args], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      if (isJson) printError(new InvalidArgumentError(usageMessageOf(error)), isJson, context);
      return EXIT.usage;
    }
    printError(error, isJson, context);
    return exitCodeOf(error);
  }
}

const usageMessageOf = ({ message }: CommanderError): string => message.replace(/^error: /, '');

/** A message that names a command or an option has already said what to do. */
const ADVICE = /["`]manta | --\w/;

function printError(error: unknown, json: boolean, context: Context): void {
  const report = reportOf(error);
  if (json) return context.err(JSON.stringify({ error: report }));
  context.err(`manta: ${report.message}`);
  if (report.remedy !== undefined && !ADVICE.test(report.message)) context.err(report.remedy);
  if (context.environment['MANTA_DEBUG'] && error instanceof Error) context.err(error.stack ?? '');
}
