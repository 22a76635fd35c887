/** One directory that did not take what was to be written, or one file that did not give it back. */
export interface SpillFailure {
  readonly directory: string;
  /** No space or quota left: worth trying again once there is some. */
  readonly full: boolean;
  readonly error: unknown;
}

/** No disk took a batch of blobs, or gave one back. Inside the agent only; callers get an ObjectStoreFullError or ObjectLostError. */
export class SpillFailedError extends Error {
  readonly failures: readonly SpillFailure[];
  /** What was read is not what was written: asking again is of no use. */
  readonly damaged: boolean;

  constructor(failures: readonly SpillFailure[], damaged = false) {
    super(failures.map(({ directory, error }) => `${directory}: ${textOf(error)}`).join('; '));
    this.name = 'SpillFailedError';
    this.failures = failures;
    this.damaged = damaged;
  }

  get full(): boolean {
    return this.failures.length > 0 && this.failures.every(({ full }) => full);
  }
}

export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
