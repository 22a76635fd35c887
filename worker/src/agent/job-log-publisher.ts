import type { JobId, NodeId } from '@manta/runtime/ids';
import { encodeControl } from '@manta/runtime/serialization/control-codec';
import type { Clock } from '@manta/runtime/time/clock';
import type { Transport } from '@manta/runtime/transport/transport';
import type { JobLogs } from '@manta/runtime/wire/job-messages';
import type { Subjects } from '@manta/runtime/wire/subjects';
import type { InferOutput } from 'valibot';
import type { HostProcess } from '../pool/host-process.ts';
import type { AgentLogger } from './agent-logger.ts';
import type { ActorRecord } from './agent-state.ts';
import { LogTailer, type LogSource } from './log-tailer.ts';

export interface JobLogPublisherOptions {
  directory: string;
  clock: Clock;
  logger: AgentLogger;
  transport: Transport;
  subjects: Subjects;
  nodeId(): NodeId;
}

/** Sends what hosts print to the drivers of the jobs that their actors belong to, labelled `ClassName pid=…`. */
export class JobLogPublisher {
  private readonly options: JobLogPublisherOptions;
  private readonly tailer: LogTailer;
  private readonly classNames = new Map<HostProcess, Set<string>>();

  constructor(options: JobLogPublisherOptions) {
    this.options = options;
    this.tailer = new LogTailer({
      directory: options.directory,
      clock: options.clock,
      publish: (source, lines) => this.publish(source, lines),
      onError: (error) => options.logger.warn({ error: String(error) }, 'cannot follow a log file'),
    });
  }

  /** The host takes this actor now; all actors of one host are of one job. */
  actorOn(host: HostProcess, actor: ActorRecord): void {
    const known = this.classNames.get(host);
    if (known !== undefined) {
      known.add(actor.className);
      return;
    }
    const names = new Set([actor.className]);
    this.classNames.set(host, names);
    const pid = host.pid ?? 0;
    // A host with actors of several classes cannot tell which of them wrote a line.
    const label = (): string => `${names.size === 1 ? actor.className : 'actors'} pid=${pid}`;
    const source = { jobId: actor.jobId, pid, label };
    this.tailer.track(host.outFile, { ...source, stream: 'stdout' });
    this.tailer.track(host.errorFile, { ...source, stream: 'stderr' });
  }

  /** Sends what is written for this job so far. */
  send(jobId: JobId): Promise<void> {
    return this.tailer.send(jobId);
  }

  hostEnded(host: HostProcess): void {
    if (!this.classNames.delete(host)) return;
    this.tailer.finish(host.outFile);
    this.tailer.finish(host.errorFile);
  }

  close(): void {
    this.tailer.close();
  }

  private publish(source: LogSource, lines: string[]): void {
    const { transport, subjects } = this.options;
    const message: InferOutput<typeof JobLogs> = {
      nodeId: this.options.nodeId(),
      entries: [{ pid: source.pid, label: source.label(), stream: source.stream, lines }],
    };
    if (transport.status === 'connected') {
      transport.publish(subjects.jobLogs(source.jobId), encodeControl(message));
    }
  }
}
