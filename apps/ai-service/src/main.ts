import { readFileSync } from 'node:fs';
import { MantaError } from '@manta/sdk';
import { AddressInUseError } from './gateway/http/http-server.ts';
import { HELP, readCommandLine } from './platform/options.ts';
import { Progress } from './platform/progress.ts';
import { AiService } from './platform/service.ts';
import { welcome } from './platform/welcome.ts';

/** A Ctrl-C reaches us from the terminal and once more through npm: those within this time are one. */
const SAME_SIGNAL_MS = 1_000;

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

try {
  const { help, ...options } = readCommandLine(process.argv.slice(2));
  if (help) process.stdout.write(HELP);
  else await run({ ...options, version });
} catch (error) {
  process.stderr.write(`\n${explain(error)}\n`);
  process.exitCode = 1;
}

async function run(options: Parameters<typeof AiService.start>[0]): Promise<void> {
  const stopped = stopRequested();
  const progress = new Progress(process.stdout);
  const starting = AiService.start(options, progress);
  const first = await Promise.race([starting, stopped]);
  const service = first instanceof AiService ? first : await starting;
  if (first === service) {
    process.stdout.write(welcome(service));
    await stopped;
  }
  await progress.step('stopping', () => service[Symbol.asyncDispose]());
}

/** Resolves at the first SIGINT or SIGTERM; the next ends the process at once. */
function stopRequested(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (firstAt !== undefined && performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(1);
      firstAt ??= performance.now();
      resolve(signal);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

function explain(error: unknown): string {
  if (error instanceof AddressInUseError) {
    return `${error.message}. Stop what listens there, or choose another port: npm start -- --port 8081`;
  }
  if (MantaError.is(error, 'InvalidArgumentError')) {
    return `${(error as MantaError).message}\nnpm start -- --help lists the options.`;
  }
  return explainSystem(error as NodeJS.ErrnoException) ?? traceOf(error);
}

/** What the system refuses for an option that makes no sense here. */
function explainSystem({ syscall, message }: NodeJS.ErrnoException): string | undefined {
  if (syscall === 'listen' || syscall === 'getaddrinfo')
    return `The service cannot listen there: ${message}. Choose an address of this machine: npm start -- --host 127.0.0.1`;
  if (syscall === 'mkdir' || syscall === 'open')
    return `The data folder cannot be used: ${message}. Choose another: npm start -- --data FOLDER`;
  return undefined;
}

function traceOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
