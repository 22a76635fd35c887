import { decodeControl } from '@manta/runtime/serialization/control-codec';
import type { MessageHandler } from '@manta/runtime/transport/transport';
import { JobLogs } from '@manta/runtime/wire/messages';

const REPEAT_WINDOW_MS = 5_000;
const REMEMBERED_LINES = 1_000;

/**
 * Prints what the job's actors write, each line with who wrote it. The same line from other processes within five
 * seconds is counted instead of printed.
 */
export function printJobLogs(): MessageHandler {
  const recent = new Map<string, { printedAt: number; repeats: number; label: string }>();
  const print = (stream: 'stdout' | 'stderr', text: string): void => void process[stream].write(`${text}\n`);

  const flushExpired = (now: number): void => {
    for (const [line, entry] of recent) {
      if (now - entry.printedAt < REPEAT_WINDOW_MS && recent.size < REMEMBERED_LINES) break;
      recent.delete(line);
      if (entry.repeats > 0) print('stdout', `(${entry.label}) ${line} [repeated ${entry.repeats} times]`);
    }
  };
  return (payload) => {
    const now = Date.now();
    flushExpired(now);
    for (const { label, pid, stream, lines } of decodeControl(JobLogs, payload).entries) {
      const who = label.includes(`pid=`) ? label : `${label} pid=${pid}`;
      for (const line of lines) {
        const known = recent.get(line);
        if (known !== undefined && known.label !== who) {
          known.repeats += 1;
          continue;
        }
        recent.set(line, { printedAt: now, repeats: 0, label: who });
        print(stream, `(${who}) ${line}`);
      }
    }
  };
}
