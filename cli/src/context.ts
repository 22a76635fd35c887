import type { Clock } from '@manta/runtime/time/clock';

/** All that a command may touch outside itself, so that tests can run it in their own process. */
export interface Context {
  environment: NodeJS.ProcessEnv;
  /** Where session, token, state and logs are kept. */
  home: string;
  clock: Clock;
  out(text: string): void;
  err(text: string): void;
  /** The width to draw for; undefined when the output is no terminal. */
  readonly columns: number | undefined;
  /** Aborts on an interrupt: how `--watch`, `-f` and `--block` end. */
  readonly interrupted: AbortSignal;
}

/** Resolves after the time, or at once when interrupted. */
export function pause(context: Context, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (context.interrupted.aborted) return resolve();
    const finish = (): void => {
      cancel();
      context.interrupted.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = context.clock.after(delayMs, finish);
    context.interrupted.addEventListener('abort', finish, { once: true });
  });
}
