import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A bare program in a process of its own, which ends with its disposal. */
export interface LimitProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** What it said when it was ready. */
  readonly firstWord: unknown;
}

/** @param name of the program's file in this folder. @throws Error when it ends before it is ready. */
export async function startLimitProcess(
  name: string,
  args: readonly string[] = [],
): Promise<LimitProcess> {
  const program = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const child = fork(program, args, { execArgv: [] });
  const exited = once(child, 'exit');
  const failed = exited.then(([code, signal]) => {
    throw new Error(`${name} ended before it was ready (${String(signal ?? code)})`);
  });
  const [firstWord] = (await Promise.race([once(child, 'message'), failed])) as [unknown];
  return {
    child,
    firstWord,
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await exited;
    },
  };
}
