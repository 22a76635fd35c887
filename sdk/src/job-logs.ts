import type { CoreProcess } from '@manta/runtime/core/core-process';
import { requestOver } from '@manta/runtime/core/head-client';
import type { JobId, NodeId } from '@manta/runtime/ids';
import { decodeControl } from '@manta/runtime/serialization/control-codec';
import { systemClock, type Clock } from '@manta/runtime/time/clock';
import type { MessageHandler } from '@manta/runtime/transport/transport';
import { JobLogs } from '@manta/runtime/wire/job-messages';
import { Acknowledgement } from '@manta/runtime/wire/messages';
import { StateNodesReply } from '@manta/runtime/wire/state-messages';
import { subjectsOf } from '@manta/runtime/wire/subjects';

const REPEAT_WINDOW_MS = 5_000;
const REMEMBERED_LINES = 1_000;
/** For the last output of a job, as all that comes after it. */
const LAST_LOGS_MS = 1_000;
const LAST_LOGS_NODES_MAX = 100;

interface PrintedLine {
  printedAt: number;
  label: string;
  /** How often others have written it since. */
  repeats: number;
}

/**
 * Prints what the job's actors write, each line with who wrote it. The same line from other processes within five
 * seconds is counted instead of printed, and the count printed then.
 */
export function printJobLogs(clock: Clock = systemClock): MessageHandler {
  /** In the order of printing. */
  const recent = new Map<string, PrintedLine>();
  const print = (stream: 'stdout' | 'stderr', text: string): void =>
    void process[stream].write(`${text}\n`);

  const forget = (line: string, { label, repeats }: PrintedLine): void => {
    recent.delete(line);
    if (repeats > 0) print('stdout', `(${label}) ${line} [repeated ${repeats} times]`);
  };
  const forgetOld = (): void => {
    for (const [line, entry] of recent) {
      const remainingMs = entry.printedAt + REPEAT_WINDOW_MS - clock.now();
      if (remainingMs > 0) {
        clock.after(remainingMs, forgetOld, { unref: true });
        return;
      }
      forget(line, entry);
    }
  };
  const remember = (line: string, label: string): void => {
    recent.delete(line);
    recent.set(line, { printedAt: clock.now(), label, repeats: 0 });
    if (recent.size === 1) clock.after(REPEAT_WINDOW_MS, forgetOld, { unref: true });
    if (recent.size <= REMEMBERED_LINES) return;
    for (const [oldest, entry] of recent) {
      forget(oldest, entry);
      return;
    }
  };

  return (payload) => {
    for (const { label, pid, stream, lines } of decodeControl(JobLogs, payload).entries) {
      const who = label.includes(`pid=`) ? label : `${label} pid=${pid}`;
      for (const line of lines) {
        const known = recent.get(line);
        if (known !== undefined && known.label !== who) {
          known.repeats += 1;
          continue;
        }
        print(stream, `(${who}) ${line}`);
        if (known === undefined) remember(line, who);
      }
    }
  };
}

/**
 * Has the nodes send what actors and tasks of this job have printed so far: it is printed here when this resolves. A node that
 * does not answer within a second is left out.
 */
export async function printLastLogs(core: CoreProcess, jobId: JobId): Promise<void> {
  const head = await core.head();
  const { nodes } = await head.requestOnce('state.nodes', {}, StateNodesReply, LAST_LOGS_MS);
  const transport = await core.transport();
  const subjects = subjectsOf(core.options.clusterId);
  const ask = (nodeId: string): Promise<unknown> =>
    requestOver(transport, {
      subject: subjects.node(nodeId as NodeId, 'job-logs'),
      message: { jobId },
      replySchema: Acknowledgement,
      timeoutMs: LAST_LOGS_MS,
    });
  const living = nodes.filter(({ state }) => state === 'alive' || state === 'draining');
  const asked = living.slice(0, LAST_LOGS_NODES_MAX);
  await Promise.allSettled(asked.map(({ nodeId }) => ask(nodeId)));
}
