import type { DeathCause } from '@manta/runtime/errors/death-cause';

/** All that is known when a host process has ended by itself. */
export interface HostExit {
  pid: number | undefined;
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /** The last bytes of its standard error. */
  stderrTail: string;
  /** The kernel has killed a process of this cgroup for lack of memory since the host was started. */
  kernelOutOfMemory: boolean;
  /** Name of the log file, for the message. */
  logFile: string;
  nodeId: string;
}

/** V8 aborts when its heap is full, and says so last. */
const HEAP_FULL = /heap out of memory|invalid table size|Zone Allocation failed/i;
const LAST_WORDS_MAX = 200;
/** Node.js ends the report of an uncaught error with its version. */
const NODE_VERSION = /^Node\.js v\d/;
const ERROR_HEADING = /^(Uncaught )?[\w$.]*(Error|Exception)( \[\w+\])?:/;

/** The cause that callers see, from how the process ended. */
export function exitCause(exit: HostExit): DeathCause {
  const how =
    exit.signal === null ? `exit code ${exit.exitCode ?? 'unknown'}` : `signal ${exit.signal}`;
  const outOfMemory = outOfMemoryReason(exit);
  const who = `process ${exit.pid ?? '(never started)'} on node ${exit.nodeId}`;
  const where = `its log: manta logs ${exit.nodeId} --file ${exit.logFile}`;
  const message =
    outOfMemory === undefined
      ? `${who} ended with ${how}${lastWords(exit.stderrTail)}; ${where}`
      : `${who} ran out of memory (${outOfMemory}, ${how}); ${where}`;
  return {
    kind: outOfMemory === undefined ? 'process-died' : 'out-of-memory',
    message,
    nodeId: exit.nodeId,
    ...(exit.exitCode === null ? {} : { exitCode: exit.exitCode }),
    ...(exit.signal === null ? {} : { signal: exit.signal }),
  };
}

function outOfMemoryReason(exit: HostExit): string | undefined {
  const aborted = exit.signal === 'SIGABRT' || exit.signal === 'SIGTRAP' || exit.exitCode === 134;
  if (aborted && HEAP_FULL.test(exit.stderrTail)) return 'its JavaScript heap was full';
  const killed = exit.signal === 'SIGKILL' || exit.exitCode === 137;
  return killed && exit.kernelOutOfMemory ? 'killed by the kernel' : undefined;
}

/** The error that ended it, where Node.js wrote one, else the last line that is not Node's own. */
function lastWords(stderrTail: string): string {
  const lines = stderrTail
    .split('\n')
    .filter((line) => line.trim() !== '' && !NODE_VERSION.test(line));
  const line = (
    lines.findLast((candidate) => ERROR_HEADING.test(candidate)) ??
    lines.at(-1) ??
    ''
  ).trim();
  return line === '' ? '' : ` ("${line.slice(0, LAST_WORDS_MAX)}")`;
}
