import { encodeControl } from '@manta/runtime/serialization/control-codec';
import { ManualClock } from '@manta/runtime/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { printJobLogs } from './job-logs.ts';

let printed: string[];
let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
  printed = [];
  for (const stream of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      printed.push(`${stream}: ${String(text)}`);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

const entry = (pid: number, lines: string[], stream: 'stdout' | 'stderr' = 'stdout') => ({
  label: 'Model',
  pid,
  stream,
  lines,
});
const message = (...entries: ReturnType<typeof entry>[]): Uint8Array =>
  encodeControl({ nodeId: 'n_0000000000000000', entries });

describe('logs of a job', () => {
  it('say who wrote each line, and where to', () => {
    printJobLogs(clock)(message(entry(7, ['a', 'b']), entry(8, ['c'], 'stderr')), '', undefined);
    expect(printed).toEqual([
      'stdout: (Model pid=7) a\n',
      'stdout: (Model pid=7) b\n',
      'stderr: (Model pid=8) c\n',
    ]);
  });

  it('count a line that other processes repeat within five seconds, and then say how often', () => {
    const print = printJobLogs(clock);
    for (const pid of [1, 2, 3]) print(message(entry(pid, ['loading'])), '', undefined);
    expect(printed).toEqual(['stdout: (Model pid=1) loading\n']);
    clock.advance(5_000);
    expect(printed.slice(1)).toEqual(['stdout: (Model pid=1) loading [repeated 2 times]\n']);
    print(message(entry(4, ['loading'])), '', undefined);
    expect(printed.slice(2)).toEqual(['stdout: (Model pid=4) loading\n']);
  });

  it('print what one process repeats', () => {
    const print = printJobLogs(clock);
    print(message(entry(1, ['tick', 'tick'])), '', undefined);
    print(message(entry(1, ['tick'])), '', undefined);
    expect(printed).toHaveLength(3);
  });

  it('remember so many lines only', () => {
    const print = printJobLogs(clock);
    print(
      message(
        entry(
          1,
          Array.from({ length: 2_000 }, (_, index) => `line ${index}`),
        ),
      ),
      '',
      undefined,
    );
    printed.length = 0;
    print(message(entry(2, ['line 0', 'line 1999'])), '', undefined);
    expect(printed).toEqual(['stdout: (Model pid=2) line 0\n']);
  });
});
