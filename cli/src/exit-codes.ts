import { MantaError } from '@manta/runtime/errors/errors';
import { ERROR_TABLE, type ErrorName } from '@manta/runtime/errors/codes';

/** What a script can tell from `$?`. 124 is what timeout(1) uses. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  denied: 4,
  timeout: 124,
} as const;

const BY_NAME: Partial<Record<ErrorName, number>> = {
  InvalidArgumentError: EXIT.usage,
  ClusterUnavailableError: EXIT.unreachable,
  AuthenticationError: EXIT.denied,
  GetTimeoutError: EXIT.timeout,
  TaskTimeoutError: EXIT.timeout,
  SchedulingTimeoutError: EXIT.timeout,
};

export function exitCodeOf(error: unknown): number {
  return (isNamed(error) && BY_NAME[error.name]) || EXIT.failed;
}

export interface ErrorReport {
  name: string;
  message: string;
  code?: string;
  remedy?: string;
}

/** What the person sees: what happened and, from the error table, what to do next. */
export function reportOf(error: unknown): ErrorReport {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const report: ErrorReport = { name: error.name, message: error.message };
  if (isNamed(error)) {
    const { code, remedy } = ERROR_TABLE[error.name];
    return { ...report, code, remedy };
  }
  return report;
}

function isNamed(error: unknown): error is MantaError & { name: ErrorName } {
  return MantaError.is(error) && Object.hasOwn(ERROR_TABLE, (error as MantaError).name);
}
