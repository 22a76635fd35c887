import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type {
  AgentToHeartbeat,
  HeartbeatConfiguration,
  HeartbeatIdentity,
  HeartbeatToAgent,
  NodeVitals,
} from './heartbeat-protocol.ts';

const STOP_TIMEOUT_MS = 1_000;

export interface HeartbeatOptions {
  /** Compiled entry of the thread. */
  entryFile: URL;
  configuration: HeartbeatConfiguration;
  onMessage(message: HeartbeatToAgent): void;
}

/** The agent's side of the heartbeat thread: starts it, and starts it again should it ever fail. */
export class HeartbeatThread {
  private readonly options: HeartbeatOptions;
  private identity: HeartbeatIdentity;
  private worker: Worker;
  private partitioned = false;
  private closing = false;

  constructor(options: HeartbeatOptions) {
    this.options = options;
    this.identity = options.configuration.identity;
    this.worker = this.start();
  }

  registered(identity: HeartbeatIdentity): void {
    this.identity = identity;
    this.post({ type: 'registered', identity });
  }

  tell(vitals: NodeVitals): void {
    this.post({ type: 'vitals', vitals });
  }

  setPartitioned(on: boolean): void {
    this.partitioned = on;
    this.post({ type: 'partition', on });
  }

  async close(): Promise<void> {
    this.closing = true;
    const exited = once(this.worker, 'exit');
    this.post({ type: 'stop' });
    const deadline = setTimeout(() => void this.worker.terminate(), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(deadline);
  }

  private start(): Worker {
    const workerData: HeartbeatConfiguration = {
      ...this.options.configuration,
      identity: this.identity,
    };
    // Options of the agent's process (inspector, loaders) are not for this thread.
    const worker = new Worker(this.options.entryFile, { workerData, execArgv: [] });
    worker.on('message', (message: HeartbeatToAgent) => this.options.onMessage(message));
    worker.on('error', (error) => {
      const message = `the heartbeat thread failed and is started again: ${error.stack ?? String(error)}`;
      this.options.onMessage({ type: 'log', level: 'warn', message });
    });
    worker.once('exit', () => {
      if (this.closing) return;
      this.worker = this.start();
      if (this.partitioned) this.post({ type: 'partition', on: true });
    });
    return worker;
  }

  private post(message: AgentToHeartbeat): void {
    this.worker.postMessage(message);
  }
}
