import { describe, expect, it } from 'vitest';
import { exitCause, type HostExit } from './exit-cause.ts';

const exit = (overrides: Partial<HostExit>): HostExit => ({
  pid: 42,
  exitCode: null,
  signal: null,
  stderrTail: '',
  kernelOutOfMemory: false,
  logFile: 'host-p_1.err',
  nodeId: 'n_1',
  ...overrides,
});
const HEAP_FULL =
  'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n 1: 0xb';

describe('exitCause', () => {
  it('says how the process ended, its last words and where to look', () => {
    expect(exitCause(exit({ exitCode: 3, stderrTail: 'a\nTypeError: no\n' }))).toEqual({
      kind: 'process-died',
      message:
        'process 42 on node n_1 ended with exit code 3 ("TypeError: no"); ' +
        'its log: manta logs n_1 --file host-p_1.err',
      exitCode: 3,
      nodeId: 'n_1',
    });
    const uncaught =
      '/app/a.js:3\n  throw new RangeError("far")\n  ^\n\nRangeError: far\n    at a.js:3 {\n  code: 1\n}\n\nNode.js v20.20.2\n';
    expect(exitCause(exit({ exitCode: 1, stderrTail: uncaught })).message).toContain(
      '("RangeError: far")',
    );
    expect(exitCause(exit({ signal: 'SIGSEGV' }))).toMatchObject({
      kind: 'process-died',
      signal: 'SIGSEGV',
    });
  });

  it.each<[string, Partial<HostExit>, string]>([
    ['heap full', { signal: 'SIGABRT', stderrTail: HEAP_FULL }, 'out-of-memory'],
    ['heap full, through a shell', { exitCode: 134, stderrTail: HEAP_FULL }, 'out-of-memory'],
    ['another abort', { signal: 'SIGABRT', stderrTail: 'assertion failed' }, 'process-died'],
    ['words without an abort', { exitCode: 1, stderrTail: HEAP_FULL }, 'process-died'],
    ['killed by the kernel', { signal: 'SIGKILL', kernelOutOfMemory: true }, 'out-of-memory'],
    ['killed by somebody', { signal: 'SIGKILL' }, 'process-died'],
  ])('%s', (_name, overrides, kind) => {
    expect(exitCause(exit(overrides)).kind).toBe(kind);
  });
});
