import { mantaHome } from '@manta/runtime/session/session-file';
import { systemClock } from '@manta/runtime/time/clock';
import type { Context } from './context.ts';
import { run } from './run.ts';

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupt.abort());
// `manta status | head` closes the pipe early: that is the reader's choice, not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const context: Context = {
  environment: process.env,
  home: mantaHome(),
  clock: systemClock,
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  interrupted: interrupt.signal,
};

process.exitCode = await run(process.argv.slice(2), context);
