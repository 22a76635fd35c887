import type { Clock } from '@manta/runtime/time/clock';
import type { NodeEvent } from '@manta/runtime/wire/messages';
import { Backoff } from './backoff.ts';
import { isUnavailable } from '@manta/runtime/core/while-unavailable';
import { ReportQueue } from './report-queue.ts';

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1_000;

export interface ReporterOptions {
  clock: Clock;
  /** Resolves when the head has the events. */
  send(firstSequence: number, events: NodeEvent[]): Promise<void>;
  /** The head answered, but did not take the report: it may not know this node. */
  onRefused(error: unknown): void;
}

/** Brings events to the head in order, one message under way at a time, again until acknowledged. */
export class Reporter {
  private readonly options: ReporterOptions;
  private readonly backoff = new Backoff(RETRY_FIRST_MS, RETRY_MAX_MS);
  private queue = new ReportQueue();
  private sending = false;
  private paused = true;
  private closed = false;
  private cancelRetry: (() => void) | undefined;
  private onEmpty: (() => void)[] = [];

  constructor(options: ReporterOptions) {
    this.options = options;
  }

  push(event: NodeEvent): void {
    this.queue.push(event);
    // What happens in one turn travels together.
    if (!this.sending && !this.paused) queueMicrotask(() => void this.send());
  }

  /** Reports wait while the node is not registered. */
  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.cancelRetry?.();
    this.cancelRetry = undefined;
    this.backoff.reset();
    void this.send();
  }

  /** A new session: what the old one had to say concerns nobody. */
  reset(): void {
    this.queue = new ReportQueue();
  }

  /** Resolves when everything is acknowledged, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.queue.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.options.clock.after(timeoutMs, resolve);
      this.onEmpty.push(() => {
        cancel();
        resolve();
      });
    });
  }

  close(): void {
    this.closed = true;
    this.cancelRetry?.();
  }

  private async send(): Promise<void> {
    if (this.sending || this.paused || this.closed || this.cancelRetry !== undefined) return;
    this.sending = true;
    const { queue } = this;
    for (let report = queue.head(); report !== undefined; report = queue.head()) {
      try {
        await this.options.send(report.firstSequence, report.events);
      } catch (error) {
        if (!isUnavailable(error)) this.options.onRefused(error);
        this.retryLater();
        break;
      }
      this.backoff.reset();
      queue.acknowledge(report.firstSequence + report.events.length);
      if (this.paused || this.closed || queue !== this.queue) break;
    }
    this.sending = false;
    if (this.queue.size === 0) for (const listener of this.onEmpty.splice(0)) listener();
    else if (queue !== this.queue) void this.send();
  }

  private retryLater(): void {
    if (this.closed) return;
    this.cancelRetry = this.options.clock.after(this.backoff.next(), () => {
      this.cancelRetry = undefined;
      void this.send();
    });
  }
}
